#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "gpunn/data.hpp"
#include "src/core/text.hpp"
#include "src/io/csv_reader.hpp"

namespace gpunn::data {
namespace {

using io::CsvReader;
using io::CsvRecord;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == text.npos ? std::string_view()
                            : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Reads the rows of one file into columns of numbers.
class TableBuilder {
 public:
  TableBuilder(CsvReader& reader, const CsvOptions& options) : reader_(reader), options_(options) {}

  CsvTable build() {
    CsvRecord record;
    bool have_record = reader_.next(record);
    if (have_record) {
      choose_columns(record);
      if (options_.header) have_record = reader_.next(record);
    }
    for (; have_record; have_record = reader_.next(record)) add_row(record);
    return finish();
  }

 private:
  using Labels = CsvOptions::Labels;
  using Missing = CsvOptions::Missing;

  [[noreturn]] void fail(const CsvRecord& record, std::size_t cell, const std::string& what) const {
    throw DataError(cat(reader_.location(record, cell), ": ", what));
  }

  std::size_t find_column(const CsvRecord& first, const CsvColumn& column) const {
    const std::size_t width = first.cells.size();
    if (const int* number = std::get_if<int>(&column)) {
      const std::int64_t index = *number < 0 ? *number + static_cast<std::int64_t>(width) : *number;
      if (index >= 0 && index < static_cast<std::int64_t>(width)) return static_cast<std::size_t>(index);
      fail(first, 0, cat("no column ", *number, " in ", width));
    }
    const std::string& name = std::get<std::string>(column);
    if (!options_.header)
      throw UsageError(cat("csv: column ", in_quotes(name), " asked for by name, but header is false"));
    std::size_t found = width;
    for (std::size_t i = 0; i < width; ++i) {
      if (first[i] != name) continue;
      if (found != width) fail(first, i, cat("two columns are named ", in_quotes(name)));
      found = i;
    }
    if (found == width) fail(first, 0, cat("no column ", in_quotes(name)));
    return found;
  }

  void choose_columns(const CsvRecord& first) {
    width_ = first.cells.size();
    if (options_.label_column) label_ = find_column(first, *options_.label_column);
    for (const CsvColumn& column : options_.feature_columns) features_.push_back(find_column(first, column));
    for (std::size_t i = 0; i < width_ && options_.feature_columns.empty(); ++i) {
      if (i != label_) features_.push_back(i);
    }
    if (features_.empty()) fail(first, 0, "no column is left for the inputs");
    if (options_.header) {
      for (const std::size_t feature : features_) table_.features.emplace_back(first[feature]);
    }
    sums_.resize(features_.size());
    present_.resize(features_.size());
  }

  bool is_missing(const CsvRecord& record, std::size_t cell) const {
    return !record.cells[cell].quoted &&
           std::ranges::find(options_.missing_marks, trimmed(record[cell])) != options_.missing_marks.end();
  }

  void add_row(const CsvRecord& record) {
    if (record.cells.size() != width_) {
      fail(record, std::min(record.cells.size(), width_),
           cat(record.cells.size(), " fields in this row, ", width_, " in the first"));
    }
    const bool label_missing = label_ != kNone && is_missing(record, label_);
    if (options_.missing == Missing::drop_row &&
        (label_missing ||
         std::ranges::any_of(features_, [&](std::size_t i) { return is_missing(record, i); }))) {
      return;
    }
    if (label_missing) fail(record, label_, "the label is missing");
    for (std::size_t i = 0; i < features_.size(); ++i) add_feature(record, i);
    if (label_ != kNone) add_label(record);
    ++rows_;
  }

  void add_feature(const CsvRecord& record, std::size_t i) {
    const std::size_t cell = features_[i];
    if (is_missing(record, cell)) {
      if (options_.missing == Missing::error)
        fail(record, cell, cat("missing value ", in_quotes(record[cell])));
      x_.push_back(kMissing);
      return;
    }
    x_.push_back(number(record, cell));
    sums_[i] += x_.back();
    ++present_[i];
  }

  float number(const CsvRecord& record, std::size_t cell) const {
    std::string_view text = trimmed(record[cell]);
    if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
      fail(record, cell, cat(in_quotes(record[cell]), " is not a number"));
    }
    const bool tiny =
        text.find("e-") != text.npos || text.find("E-") != text.npos;  // 1e-400 is nothing wrong
    if (error == std::errc::result_out_of_range && tiny) return 0;
    if (error != std::errc() || !(std::abs(value) <= std::numeric_limits<float>::max())) {
      fail(record, cell, cat(in_quotes(record[cell]), " is not a finite number of 32 bits"));
    }
    return static_cast<float>(value);
  }

  void add_label(const CsvRecord& record) {
    switch (options_.labels) {
      case Labels::numbers:
        y_.push_back(number(record, label_));
        return;
      case Labels::names: {
        const auto next = static_cast<std::int32_t>(names_.size());
        classes_.push_back(names_.try_emplace(std::string(record[label_]), next).first->second);
        return;
      }
      case Labels::classes: {
        const std::string_view text = record[label_];
        std::int32_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size()) {
          fail(record, label_, cat(in_quotes(text), " is not a class number"));
        }
        classes_.push_back(value);
      }
    }
  }

  void fill_in_means() {
    for (std::size_t i = 0; i < x_.size(); ++i) {
      if (!std::isnan(x_[i])) continue;
      const std::size_t column = i % features_.size();
      if (present_[column] == 0) {
        throw DataError(cat(reader_.file(), ":1:", features_[column] + 1, ": no values to take the mean of"));
      }
      x_[i] = static_cast<float>(sums_[column] / static_cast<double>(present_[column]));
    }
  }

  // Names were numbered as they came; they are to be numbered in the order of their bytes, which the map has.
  void sort_class_names() {
    std::vector<std::int32_t> renumbered(names_.size());
    for (const auto& [name, number] : names_) {
      renumbered[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(table_.classes.size());
      table_.classes.push_back(name);
    }
    for (std::int32_t& label : classes_) label = renumbered[static_cast<std::size_t>(label)];
  }

  CsvTable finish() {
    if (options_.missing == Missing::mean) fill_in_means();
    if (options_.labels == Labels::names) sort_class_names();
    table_.x = Tensor::of({rows_, static_cast<std::int64_t>(features_.size())}, x_);
    if (label_ != kNone) {
      table_.y = options_.labels == Labels::numbers ? Tensor::of({rows_}, y_) : Tensor::of({rows_}, classes_);
    }
    return std::move(table_);
  }

  static constexpr std::size_t kNone = ~std::size_t{0};

  CsvReader& reader_;
  const CsvOptions& options_;
  std::size_t width_ = 0, label_ = kNone;
  std::vector<std::size_t> features_;  // columns of the file
  std::int64_t rows_ = 0;
  std::vector<float> x_, y_;
  std::vector<std::int32_t> classes_;
  std::map<std::string, std::int32_t> names_;
  std::vector<double> sums_;  // per feature, over the values that are there
  std::vector<std::int64_t> present_;
  CsvTable table_;
};

}  // namespace

CsvTable csv_table(const std::filesystem::path& path, const CsvOptions& options) {
  if (options.delimiter == '"' || options.delimiter == '\n' || options.delimiter == '\r') {
    throw UsageError("csv: the delimiter must not be a quote or a line end");
  }
  const auto source = io::open_bytes(path);
  CsvReader reader(*source, path.string(), options.delimiter, options.max_bytes);
  for (int i = 0; i < options.skip_lines; ++i) reader.skip_line();
  CsvTable table = TableBuilder(reader, options).build();
  if (table.x.elements() == 0) throw DataError(cat(path.string(), ": no rows"));
  return table;
}

DatasetPtr csv(const std::filesystem::path& path, const CsvOptions& options) {
  CsvTable table = csv_table(path, options);
  TensorDataset::Columns columns{.inputs = {table.x}};
  if (table.y) columns.targets.push_back(*table.y);
  return std::make_shared<TensorDataset>(std::move(columns));
}

}  // namespace gpunn::data
