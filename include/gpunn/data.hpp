// Data to train on: in memory, from IDX and CSV files, or wherever a class of your own reads it from.
//
//   const auto [train, test] = gpunn::data::mnist("data/mnist");
//   model.fit(train, {.epochs = 10, .batch_size = 32, .validation_data = test});
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "gpunn/shape.hpp"
#include "gpunn/tensor.hpp"

namespace gpunn {

// One input or target of a model, as a data set stores it.
struct Field {
  Shape shape;  // of one sample
  Dtype dtype = Dtype::f32;
  float scale = 1.0f;  // u8 only: the model gets value * scale as f32, so images may stay bytes. Other dtypes
                       // arrive as they are.
};

// Samples that can be read in any order. Derive from it to train on data of your own.
//
// A sample's fields are its inputs, then its targets, then, if has_weights(), one f32 weight of shape [].
class GPUNN_API Dataset {
 public:
  virtual ~Dataset();

  virtual std::int64_t size() const = 0;  // samples
  virtual std::vector<Field> inputs() const = 0;
  virtual std::vector<Field> targets() const = 0;
  virtual bool has_weights() const { return false; }

  // Copies sample rows[i] to place i of each field's buffer, in the stored dtype. Called from the thread that
  // reads ahead, while other threads may be calling it too. What it throws comes out of fit().
  virtual void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const = 0;

  // Sequences may lie in buckets: fit() and evaluate() then make every batch of one bucket's samples. Lengths
  // ascend, and the last is the first extent of every input as inputs() tells it; in a bucket that extent is
  // the bucket's length. Empty: no buckets.
  virtual std::vector<std::int64_t> bucket_lengths() const { return {}; }
  virtual std::size_t bucket_of(std::int64_t sample) const;
  // read(), for samples that are all of one bucket.
  virtual void read_bucket(std::size_t bucket, std::span<const std::int64_t> rows,
                           std::span<std::byte* const> fields) const;

  // If all samples lie in memory: one tensor [rows, ...] per field, which spares a copy; else empty.
  virtual std::span<const Tensor> resident() const { return {}; }
  // Replaces samples by their rows in resident(), where the two differ.
  virtual void to_resident_rows(std::span<std::int64_t> samples) const;
};

// How data sets are passed around; copies refer to the same one.
using DatasetPtr = std::shared_ptr<const Dataset>;

// A data set over tensors, whose elements it shares: tensors from Tensor::borrow are not copied either.
class GPUNN_API TensorDataset final : public Dataset {
 public:
  struct Columns {
    std::vector<Tensor> inputs;  // [samples, ...]
    std::vector<Tensor> targets = {};
    std::optional<Tensor> weights = {};  // [samples] f32: how much each sample counts
    float input_scale = 1.0f;            // of the u8 inputs; see Field
  };

  // Throws ShapeError when the tensors do not have the same number of samples, DataError for a weight that is
  // negative or not finite.
  explicit TensorDataset(Columns columns, SourceLocation where = SourceLocation::current());
  TensorDataset(Tensor x, Tensor y, SourceLocation where = SourceLocation::current());

  std::int64_t size() const override { return size_; }
  std::vector<Field> inputs() const override;
  std::vector<Field> targets() const override;
  bool has_weights() const override { return has_weights_; }
  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override;
  std::span<const Tensor> resident() const override { return columns_; }

 private:
  std::vector<Tensor> columns_;
  std::size_t input_count_ = 0;
  bool has_weights_ = false;
  float input_scale_ = 1.0f;
  std::int64_t size_ = 0;
};

namespace data {

struct TrainTest {
  DatasetPtr train;
  DatasetPtr test;
};

// Handwritten digits (or clothes) in their four original files, plain or .gz, in `directory`:
// {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte. Inputs [28, 28, 1] u8 with scale 1/255,
// targets [] i32 from 0 to 9. Throws FileError when one is missing, DataError when they do not fit together.
GPUNN_API TrainTest mnist(const std::filesystem::path& directory);
GPUNN_API TrainTest fashion_mnist(const std::filesystem::path& directory);

// Any IDX file, plain or .gz: u8, i32, f32 and f64 as they are; 8- and 16-bit signed integers as i32.
GPUNN_API Tensor idx(const std::filesystem::path& path);
// Writes one, u8, i32, f32 or f64; never leaves a partial file.
GPUNN_API void save_idx(const Tensor& tensor, const std::filesystem::path& path);

// A column by name (needs a header) or by number from 0; negative numbers count from the last.
using CsvColumn = std::variant<int, std::string>;

struct CsvOptions {
  bool header = true;  // the first line (after skip_lines) names the columns
  int skip_lines = 0;  // lines before it that are not part of the table
  char delimiter = ',';
  std::optional<CsvColumn> label_column = {};  // the target; without it there are inputs only
  std::vector<CsvColumn> feature_columns =
      {};  // the inputs, in this order; empty = every column but the label

  // What the labels are: f32 = numbers; i32 = class numbers, whole; or names, numbered from 0 in the order of
  // their bytes.
  enum class Labels { numbers, classes, names } labels = Labels::numbers;

  // An unquoted field with one of these texts is missing; it is an error, drops its row, becomes NaN, or
  // becomes the mean of its column. A missing label is an error unless it drops its row.
  enum class Missing { error, drop_row, nan, mean } missing = Missing::error;
  std::vector<std::string> missing_marks = {"", "NA", "NaN", "nan", "?"};

  std::int64_t max_bytes = std::int64_t{1} << 34;  // of text, after decompression; more throws DataError
};

struct CsvTable {
  std::vector<std::string> features;  // names; empty without a header
  Tensor x;                           // [rows, features] f32
  std::optional<Tensor> y;            // [rows], f32 or i32
  std::vector<std::string> classes;   // names of the classes, for Labels::names
};

// Comma-separated values as in RFC 4180, plain or .gz: quoted fields may hold delimiters, doubled quotes and
// line breaks; lines end in LF or CRLF; a UTF-8 byte order mark is skipped. Throws DataError
// "file:line:column: ..." (column counts fields, from 1) for rows of unequal length, text that is no number,
// and numbers that do not fit.
GPUNN_API CsvTable csv_table(const std::filesystem::path& path, const CsvOptions& options = {});
// The same as a data set: inputs [features] f32 and, if there is a label column, targets [].
GPUNN_API DatasetPtr csv(const std::filesystem::path& path, const CsvOptions& options = {});

// Some samples of a data set, not copied. Throws UsageError for samples it does not have.
GPUNN_API DatasetPtr subset(DatasetPtr dataset, std::int64_t begin, std::int64_t end);
GPUNN_API DatasetPtr subset(DatasetPtr dataset, std::vector<std::int64_t> samples);

// Two random parts: `test` gets test_fraction of the samples (rounded to the nearest), `train` the others.
// The same seed gives the same parts. Throws UsageError unless 0 <= test_fraction <= 1.
GPUNN_API TrainTest split(const DatasetPtr& dataset, double test_fraction, std::uint64_t seed = 0);

}  // namespace data
}  // namespace gpunn
