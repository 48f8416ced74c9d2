#include "src/io/csv_columns.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <variant>

#include "src/core/text.hpp"

namespace gpunn::io {

void fail_at(const CsvReader& reader, const CsvRecord& record, std::size_t cell, const std::string& what) {
  throw DataError(cat(reader.location(record, cell), ": ", what));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == text.npos ? std::string_view()
                            : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::size_t find_column(const CsvReader& reader, const CsvRecord& first, const data::CsvColumn& column,
                        bool header) {
  const std::size_t width = first.cells.size();
  if (const int* number = std::get_if<int>(&column)) {
    const std::int64_t index = *number < 0 ? *number + static_cast<std::int64_t>(width) : *number;
    if (index >= 0 && index < static_cast<std::int64_t>(width)) return static_cast<std::size_t>(index);
    fail_at(reader, first, 0, cat("no column ", *number, " in ", width));
  }
  const std::string& name = std::get<std::string>(column);
  if (!header)
    throw UsageError(cat("csv: column ", in_quotes(name), " asked for by name, but header is false"));
  std::size_t found = width;
  for (std::size_t i = 0; i < width; ++i) {
    if (first[i] != name) continue;
    if (found != width) fail_at(reader, first, i, cat("two columns are named ", in_quotes(name)));
    found = i;
  }
  if (found == width) fail_at(reader, first, 0, cat("no column ", in_quotes(name)));
  return found;
}

float csv_number(const CsvReader& reader, const CsvRecord& record, std::size_t cell) {
  std::string_view text = trimmed(record[cell]);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    fail_at(reader, record, cell, cat(in_quotes(record[cell]), " is not a number"));
  }
  const bool tiny = text.find("e-") != text.npos || text.find("E-") != text.npos;  // 1e-400 is nothing wrong
  if (error == std::errc::result_out_of_range && tiny) return 0;
  if (error != std::errc() || !(std::abs(value) <= std::numeric_limits<float>::max())) {
    fail_at(reader, record, cell, cat(in_quotes(record[cell]), " is not a finite number of 32 bits"));
  }
  return static_cast<float>(value);
}

void LabelColumn::add(const CsvReader& reader, const CsvRecord& record, std::size_t cell) {
  using Labels = data::CsvOptions::Labels;
  switch (kind_) {
    case Labels::numbers:
      numbers_.push_back(csv_number(reader, record, cell));
      return;
    case Labels::names: {
      const auto next = static_cast<std::int32_t>(names_.size());
      classes_.push_back(names_.try_emplace(std::string(record[cell]), next).first->second);
      return;
    }
    case Labels::classes: {
      const std::string_view text = record[cell];
      std::int32_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size()) {
        fail_at(reader, record, cell, cat(in_quotes(text), " is not a class number"));
      }
      classes_.push_back(value);
    }
  }
}

Tensor LabelColumn::finish(std::vector<std::string>& classes) {
  if (kind_ == data::CsvOptions::Labels::numbers) return Tensor::of({std::ssize(numbers_)}, numbers_);
  // Names were numbered as they came; they are to be numbered in the order of their bytes, which the map has.
  std::vector<std::int32_t> renumbered(names_.size());
  for (const auto& [name, number] : names_) {
    renumbered[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(classes.size());
    classes.push_back(name);
  }
  if (kind_ == data::CsvOptions::Labels::names) {
    for (std::int32_t& label : classes_) label = renumbered[static_cast<std::size_t>(label)];
  }
  return Tensor::of({std::ssize(classes_)}, classes_);
}

}  // namespace gpunn::io
