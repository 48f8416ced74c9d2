#include "src/train/batches.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "src/core/convert.hpp"
#include "src/core/copy_rows.hpp"
#include "src/core/text.hpp"
#include "src/io/gather.hpp"
#include "src/train/objectives.hpp"

namespace gpunn::train {
namespace {

// [28, 28] holds what [28, 28, 1] holds: trailing ones say nothing.
bool same_but_for_ones(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = 0; axis < rank; ++axis) {
    if ((axis < a.rank() ? a[axis] : 1) != (axis < b.rank() ? b[axis] : 1)) return false;
  }
  return true;
}

template <class T>
bool allowed(const FieldRule& rule, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (rule.finite && !std::isfinite(value)) return false;
  }
  // Written so that NaN is out of bounds.
  return !rule.bounded || (static_cast<double>(value) >= rule.low && static_cast<double>(value) <= rule.high);
}

// Without a branch per element, so that compilers make vectors of it: infinities and NaN have the largest
// bits.
bool all_finite(const std::byte* row, std::int64_t elements) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < elements; ++i) {
    std::int32_t bits = 0;
    std::memcpy(&bits, row + i * 4, 4);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest < 0x7f800000;
}

template <class T>
const T* first_refused(const FieldRule& rule, const std::byte* row, std::int64_t elements) {
  const T* values = reinterpret_cast<const T*>(row);
  const T* end = values + elements;
  const T* found = std::find_if(values, end, [&](T value) { return !allowed(rule, value); });
  return found == end ? nullptr : found;
}

// Throws DataError when an element of the row is not allowed. A batch of -1: `row_number` is the sample's.
void check_row(const FieldRule& rule, const FieldFormat& format, const std::byte* row, std::int64_t batch,
               std::int64_t row_number, const ReaderOptions& options) {
  const auto refuse = [&](auto value) {
    const std::string where =
        batch < 0 ? cat("sample ", row_number) : cat("row ", row_number, " of batch ", batch);
    const std::string wanted =
        !rule.bounded ? "is not finite" : cat("is not from ", rule.low, " to ", rule.high);
    throw DataError(cat(options.function, ": ", where, " of the data: ", rule.name, " ", value, " ", wanted),
                    options.where);
  };
  const std::int64_t elements = format.shape.elements();
  if (format.dtype == Dtype::f32) {
    if (!rule.bounded && (!rule.finite || all_finite(row, elements))) return;
    if (const float* bad = first_refused<float>(rule, row, elements)) refuse(*bad);
  } else if (format.dtype == Dtype::i32) {
    if (const auto* bad = first_refused<std::int32_t>(rule, row, elements)) refuse(*bad);
  }
}

FieldRule label_rule(const Loss& loss, const Shape& output) {
  FieldRule rule{.name = "label", .dtype = label_dtype(loss)};
  if (rule.dtype == Dtype::i32) {
    rule.bounded = true;
    rule.high = static_cast<double>(output[-1] - 1);
  } else if (loss.kind != Loss::Kind::mean_squared_error) {
    rule.bounded = true;
    rule.high = 1;
  }
  return rule;
}

std::uint64_t next_source() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Shape label_shape(const Loss& loss, const Shape& output) {
  if (label_dtype(loss) == Dtype::f32) return output;
  return Shape(
      output.extents().first(static_cast<std::size_t>(output.rank() - 1)));  // one per vector of classes
}

BatchReader::BatchReader(const DatasetPtr& data, const nn::Network& network, const TrainingOptions* training,
                         ReaderOptions options)
    : options_(std::move(options)),
      inputs_(network.inputs()),
      resident_(data && !data->resident().empty()),
      loader_(data, options_.loader),
      source_(next_source()) {
  const std::vector<Field> inputs = data->inputs(), targets = data->targets();
  if (inputs.size() != inputs_) {
    throw ShapeError(
        cat(options_.function, ": the data has ", inputs.size(), " inputs, the model takes ", inputs_),
        options_.where);
  }
  for (std::size_t i = 0; i < inputs_; ++i) {
    const Spec& wanted = network.input(i);
    FieldRule rule{.name = cat("input ", i), .dtype = wanted.dtype, .finite = options_.check_data};
    if (const std::int64_t vocabulary = network.vocabulary(i); vocabulary > 0) {
      rule.name += ", a token id,";
      rule.bounded = true;
      rule.high = static_cast<double>(vocabulary - 1);
    }
    add_field(inputs[i], wanted.shape, std::move(rule));
  }
  if (options_.with_labels) {
    if (targets.size() != 1) {
      throw ShapeError(
          cat(options_.function, ": the data has ", targets.size(), " targets, the model learns one"),
          options_.where);
    }
    const Shape& output = network.output(0).shape;
    add_field(targets[0], label_shape(training->loss, output), label_rule(training->loss, output));
    weighted_ = data->has_weights();
    if (weighted_) {
      add_field({}, {}, {.name = "weight", .bounded = true, .high = std::numeric_limits<float>::max()});
    }
  }
  bases_.resize(formats_.size());
  converted_.resize(formats_.size());
  if (resident_) {
    convert_columns(data->resident());
    check_resident(*data);
  } else {
    book_conversions(data->size());
  }
}

void BatchReader::add_field(const Field& field, const Shape& wanted, FieldRule rule) {
  if (!same_but_for_ones(field.shape, wanted)) {
    throw ShapeError(cat(options_.function, ": ", rule.name, " of the data is ", field.shape,
                         " per sample, where the model has ", wanted),
                     options_.where);
  }
  // Inputs that are bytes in memory go to the step as they are; the loader makes floats of others. Labels are
  // converted once, here, and checked as what they become.
  const bool input = formats_.size() < inputs_;
  const bool bytes = resident_ && input && field.dtype == Dtype::u8 && rule.dtype == Dtype::f32;
  formats_.push_back({wanted, bytes ? Dtype::u8 : rule.dtype, bytes ? field.scale : 1.0f});
  rules_.push_back(std::move(rule));
}

// Room for the fields of a batch that do not arrive as the step reads them.
void BatchReader::book_conversions(std::int64_t samples) {
  const std::int64_t most = std::min(options_.loader.batch_size, samples);
  for (std::size_t k = 0; k < formats_.size(); ++k) {
    if (delivered_dtype(loader_.fields()[k]) != formats_[k].dtype)
      converted_[k] = Tensor(formats_[k].shape.with_front(most), formats_[k].dtype);
  }
}

void BatchReader::convert_columns(std::span<const Tensor> columns) {
  for (std::size_t k = 0; k < formats_.size(); ++k) {
    const Dtype wanted = formats_[k].dtype;
    Tensor column = columns[k];
    if (column.dtype() == Dtype::u8 && wanted != Dtype::u8) {  // the values that the loader would deliver
      column = Tensor(column.shape(), Dtype::f32);
      deliver(loader_.fields()[k], column.shape()[0], columns[k].bytes(), column.bytes());
    }
    columns_.push_back(column.to(wanted));  // the same tensor where the dtype is right
    bases_[k] = columns_[k].bytes();
  }
}

void BatchReader::check_resident(const Dataset& data) const {
  constexpr std::int64_t kChunk = 1024;
  std::vector<std::int64_t> rows;
  for (std::int64_t begin = 0; begin < data.size(); begin += kChunk) {
    rows.resize(static_cast<std::size_t>(std::min(kChunk, data.size() - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    data.to_resident_rows(rows);
    for (std::size_t k = 0; k < formats_.size(); ++k) {
      if (formats_[k].dtype == Dtype::u8) continue;
      const std::size_t row_bytes = Spec{formats_[k].shape, formats_[k].dtype}.size_bytes();
      for (std::size_t i = 0; i < rows.size(); ++i) {
        check_row(rules_[k], formats_[k], columns_[k].bytes() + static_cast<std::size_t>(rows[i]) * row_bytes,
                  -1, begin + static_cast<std::int64_t>(i), options_);
      }
    }
  }
}

FieldFormat BatchReader::format(std::size_t field, std::int64_t length) const {
  FieldFormat format = formats_[field];
  if (length > 0 && field < inputs_) format.shape = format.shape.without_front().with_front(length);
  return format;
}

std::vector<BatchShape> BatchReader::shapes() const {
  std::vector<BatchShape> full, rest;
  const std::int64_t batch = options_.loader.batch_size;
  for (const BatchOrder::Run& run : loader_.order().runs()) {
    const std::int64_t length = loader_.order().length(run.bucket);
    if (run.samples >= batch) full.push_back({batch, length});
    if (run.samples % batch > 0) rest.push_back({run.samples % batch, length});
  }
  rest.insert(rest.end(), full.begin(), full.end());
  return rest;
}

StepKey BatchReader::key(nn::Mode mode, BatchShape batch) const {
  StepKey key{.mode = mode, .batch = batch.size, .inputs = {}, .labels = {}, .weighted = weighted_};
  for (std::size_t i = 0; i < inputs_; ++i) key.inputs.push_back(format(i, batch.length));
  if (options_.with_labels) key.labels = {formats_[inputs_]};
  return key;
}

std::int64_t BatchReader::next() {
  batch_ = loader_.next();
  if (batch_ == nullptr) return 0;
  if (!resident_) {
    take_batch();
    return batch_->size;
  }
  for (std::size_t k = 0; k < formats_.size(); ++k) {
    prefetch_rows(static_cast<const std::byte*>(bases_[k]), batch_->upcoming,
                  Spec{formats_[k].shape, formats_[k].dtype}.size_bytes());
  }
  return batch_->size;
}

// Checks what the loader delivered and converts what is not of the dtype the step reads.
void BatchReader::take_batch() {
  for (std::size_t k = 0; k < formats_.size(); ++k) {
    const FieldFormat format = this->format(k, batch_->length);
    const Dtype delivered = delivered_dtype(loader_.fields()[k]);
    bases_[k] = batch_->fields[k];
    if (delivered != format.dtype) {
      convert_elements(delivered, bases_[k], format.dtype, converted_[k].bytes(),
                       format.shape.elements() * batch_->size);
      bases_[k] = converted_[k].bytes();
    }
    const std::size_t row_bytes = Spec{format.shape, format.dtype}.size_bytes();
    for (std::int64_t i = 0; i < batch_->size; ++i) {
      const std::byte* row =
          static_cast<const std::byte*>(bases_[k]) + static_cast<std::size_t>(i) * row_bytes;
      check_row(rules_[k], format, row, batch_->index, i, options_);
    }
  }
}

void BatchReader::bind(Executable& executable) {
  if (!resident_) {
    for (std::size_t k = 0; k < bases_.size(); ++k)
      executable.set_input(static_cast<int>(k), bases_[k], nullptr);
    return;
  }
  bind_rows(executable, batch_->rows.data());
}

void BatchReader::bind_rows(Executable& executable, const std::int64_t* rows) const {
  for (std::size_t k = 0; k < bases_.size(); ++k) {
    executable.set_source(static_cast<int>(k), {source_, bases_[k], columns_[k].shape()[0]});
  }
  for (std::size_t k = 0; k < bases_.size(); ++k) executable.set_input(static_cast<int>(k), bases_[k], rows);
}

StepKey planned_step(const nn::Network& network, const TrainingOptions* training, nn::Mode mode,
                     const PlanOptions& options, SourceLocation where) {
  if (options.data) {
    if (options.data->size() == 0) throw DataError("plan: the data has no samples", where);
    ReaderOptions reader;
    reader.function = "plan";
    reader.loader.batch_size = options.batch_size;
    reader.with_labels = mode != nn::Mode::predict;
    reader.check_data = false;
    reader.where = where;
    const BatchReader data(options.data, network, training, std::move(reader));
    return data.key(mode, data.shapes().back());
  }
  StepKey key;
  key.mode = mode;
  key.batch = options.batch_size;
  for (std::size_t i = 0; i < network.inputs(); ++i)
    key.inputs.push_back({network.input(i).shape, network.input(i).dtype});
  if (mode != nn::Mode::predict)
    key.labels.push_back({label_shape(training->loss, network.output(0).shape), label_dtype(training->loss)});
  return key;
}

}  // namespace gpunn::train
