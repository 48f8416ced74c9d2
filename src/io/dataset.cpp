#include <cmath>
#include <cstring>

#include "gpunn/data.hpp"
#include "gpunn/random.hpp"
#include "src/core/random_streams.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// What a sample that is out of range would otherwise read is anybody's memory.
void expect_sample(std::int64_t sample, std::int64_t size) {
  if (sample < 0 || sample >= size) throw UsageError(cat("data set: sample ", sample, " of ", size));
}

std::vector<Field> describe(std::span<const Tensor> columns, float scale) {
  std::vector<Field> fields;
  for (const Tensor& column : columns) {
    fields.push_back(
        {column.shape().without_front(), column.dtype(), column.dtype() == Dtype::u8 ? scale : 1.0f});
  }
  return fields;
}

// A part of a data set, by a list of its samples.
class Subset final : public Dataset {
 public:
  Subset(DatasetPtr whole, std::vector<std::int64_t> samples)
      : whole_(std::move(whole)), samples_(std::move(samples)) {}

  std::int64_t size() const override { return std::ssize(samples_); }
  std::vector<Field> inputs() const override { return whole_->inputs(); }
  std::vector<Field> targets() const override { return whole_->targets(); }
  bool has_weights() const override { return whole_->has_weights(); }
  std::span<const Tensor> resident() const override { return whole_->resident(); }
  std::vector<std::int64_t> bucket_lengths() const override { return whole_->bucket_lengths(); }

  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    std::vector<std::int64_t> samples(rows.begin(), rows.end());
    to_samples_of_whole(samples);
    whole_->read(samples, fields);
  }

  std::size_t bucket_of(std::int64_t sample) const override {
    to_samples_of_whole({&sample, 1});
    return whole_->bucket_of(sample);
  }

  void read_bucket(std::size_t bucket, std::span<const std::int64_t> rows,
                   std::span<std::byte* const> fields) const override {
    std::vector<std::int64_t> samples(rows.begin(), rows.end());
    to_samples_of_whole(samples);
    whole_->read_bucket(bucket, samples, fields);
  }

  void to_resident_rows(std::span<std::int64_t> samples) const override {
    to_samples_of_whole(samples);
    whole_->to_resident_rows(samples);
  }

 private:
  void to_samples_of_whole(std::span<std::int64_t> samples) const {
    for (std::int64_t& sample : samples) {
      expect_sample(sample, size());
      sample = samples_[static_cast<std::size_t>(sample)];
    }
  }

  DatasetPtr whole_;
  std::vector<std::int64_t> samples_;
};

}  // namespace

Dataset::~Dataset() = default;

void Dataset::to_resident_rows(std::span<std::int64_t>) const {}

std::size_t Dataset::bucket_of(std::int64_t) const {
  return 0;
}

void Dataset::read_bucket(std::size_t, std::span<const std::int64_t> rows,
                          std::span<std::byte* const> fields) const {
  read(rows, fields);
}

TensorDataset::TensorDataset(Columns columns, SourceLocation where)
    : input_count_(columns.inputs.size()), has_weights_(columns.weights), input_scale_(columns.input_scale) {
  if (columns.inputs.empty()) throw UsageError("data set: no inputs", where);
  columns_ = std::move(columns.inputs);
  for (Tensor& target : columns.targets) columns_.push_back(std::move(target));
  if (has_weights_) columns_.push_back(std::move(*columns.weights));

  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Shape& shape = columns_[i].shape();
    const std::string name = i < input_count_                           ? cat("input ", i)
                             : has_weights_ && i + 1 == columns_.size() ? std::string("weights")
                                                                        : cat("target ", i - input_count_);
    if (shape.rank() == 0)
      throw ShapeError(cat("data set: ", name, " is a scalar, not a column of samples"), where);
    if (shape[0] != columns_[0].shape()[0]) {
      throw ShapeError(cat("data set: ", name, " ", shape, " and input 0 ", columns_[0].shape(),
                           " have different numbers of samples"),
                       where);
    }
  }
  size_ = columns_[0].shape()[0];
  if (!has_weights_) return;
  const Tensor& weights = columns_.back();
  if (weights.dtype() != Dtype::f32 || weights.shape().rank() != 1) {
    throw ShapeError(
        cat("data set: weights are ", weights.dtype(), " ", weights.shape(), ", not f32 [", size_, "]"),
        where);
  }
  for (const float weight : weights.data<float>()) {
    if (!(weight >= 0 && std::isfinite(weight)))
      throw DataError(cat("data set: sample weight ", weight), where);
  }
}

TensorDataset::TensorDataset(Tensor x, Tensor y, SourceLocation where)
    : TensorDataset(Columns{.inputs = {std::move(x)}, .targets = {std::move(y)}}, where) {}

std::vector<Field> TensorDataset::inputs() const {
  return describe(std::span(columns_).first(input_count_), input_scale_);
}

std::vector<Field> TensorDataset::targets() const {
  return describe(
      std::span(columns_).subspan(input_count_, columns_.size() - input_count_ - (has_weights_ ? 1 : 0)),
      1.0f);
}

void TensorDataset::read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const {
  if (fields.size() != columns_.size()) {
    throw UsageError(cat("data set: ", fields.size(), " buffers for ", columns_.size(), " fields"));
  }
  for (const std::int64_t row : rows) expect_sample(row, size_);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].elements() == 0) continue;
    const std::size_t bytes = columns_[i].size_bytes() / static_cast<std::size_t>(size_);
    std::byte* to = fields[i];
    for (const std::int64_t row : rows) {
      std::memcpy(to, columns_[i].bytes() + static_cast<std::size_t>(row) * bytes, bytes);
      to += bytes;
    }
  }
}

namespace data {

DatasetPtr subset(DatasetPtr dataset, std::vector<std::int64_t> samples) {
  if (!dataset) throw UsageError("subset: no data set");
  for (const std::int64_t sample : samples) expect_sample(sample, dataset->size());
  return std::make_shared<Subset>(std::move(dataset), std::move(samples));
}

DatasetPtr subset(DatasetPtr dataset, std::int64_t begin, std::int64_t end) {
  if (!dataset) throw UsageError("subset: no data set");
  if (begin < 0 || end < begin || end > dataset->size()) {
    throw UsageError(cat("subset: samples ", begin, " to ", end, " of ", dataset->size()));
  }
  std::vector<std::int64_t> samples;
  for (std::int64_t sample = begin; sample < end; ++sample) samples.push_back(sample);
  return subset(std::move(dataset), std::move(samples));
}

TrainTest split(const DatasetPtr& dataset, double test_fraction, std::uint64_t seed) {
  if (!dataset) throw UsageError("split: no data set");
  if (!(test_fraction >= 0 && test_fraction <= 1)) {
    throw UsageError(cat("split: test_fraction is ", test_fraction, ", not between 0 and 1"));
  }
  const std::int64_t size = dataset->size();
  const std::int64_t in_test = std::llround(test_fraction * static_cast<double>(size));
  const Permutation shuffled(static_cast<std::uint64_t>(size), {.seed = seed, .stream = streams::kSplit});
  std::vector<std::int64_t> test, train;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto sample = static_cast<std::int64_t>(shuffled(static_cast<std::uint64_t>(i)));
    (i < in_test ? test : train).push_back(sample);
  }
  return {.train = subset(dataset, std::move(train)), .test = subset(dataset, std::move(test))};
}

}  // namespace data
}  // namespace gpunn
