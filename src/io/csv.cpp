#include <algorithm>
#include <cmath>
#include <limits>

#include "gpunn/data.hpp"
#include "src/core/text.hpp"
#include "src/io/csv_columns.hpp"
#include "src/io/csv_reader.hpp"

namespace gpunn::data {
namespace {

using io::CsvReader;
using io::CsvRecord;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Reads the rows of one file into columns of numbers.
class TableBuilder {
 public:
  TableBuilder(CsvReader& reader, const CsvOptions& options)
      : reader_(reader), options_(options), labels_(options.labels) {}

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
  using Missing = CsvOptions::Missing;

  [[noreturn]] void fail(const CsvRecord& record, std::size_t cell, const std::string& what) const {
    throw DataError(cat(reader_.location(record, cell), ": ", what));
  }

  void choose_columns(const CsvRecord& first) {
    width_ = first.cells.size();
    if (options_.label_column)
      label_ = io::find_column(reader_, first, *options_.label_column, options_.header);
    for (const CsvColumn& column : options_.feature_columns)
      features_.push_back(io::find_column(reader_, first, column, options_.header));
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
           std::ranges::find(options_.missing_marks, io::trimmed(record[cell])) !=
               options_.missing_marks.end();
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
    if (label_ != kNone) labels_.add(reader_, record, label_);
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
    x_.push_back(io::csv_number(reader_, record, cell));
    sums_[i] += x_.back();
    ++present_[i];
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

  CsvTable finish() {
    if (options_.missing == Missing::mean) fill_in_means();
    table_.x = Tensor::of({rows_, static_cast<std::int64_t>(features_.size())}, x_);
    if (label_ != kNone) table_.y = labels_.finish(table_.classes);
    return std::move(table_);
  }

  static constexpr std::size_t kNone = ~std::size_t{0};

  CsvReader& reader_;
  const CsvOptions& options_;
  std::size_t width_ = 0, label_ = kNone;
  std::vector<std::size_t> features_;  // columns of the file
  std::int64_t rows_ = 0;
  std::vector<float> x_;
  io::LabelColumn labels_;
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
