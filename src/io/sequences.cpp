// Sequences of different lengths, as rows of one length or of a few.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "gpunn/text.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// One sequence as a row of `length`. REQUIRES: room for it.
void pad_row(std::span<const std::int32_t> sequence, const PadOptions& pad, std::int64_t length,
             std::int32_t* row) {
  const auto size = std::min(static_cast<std::int64_t>(sequence.size()), length);
  const std::int64_t first =
      pad.truncating == Side::pre ? static_cast<std::int64_t>(sequence.size()) - size : 0;
  const std::int64_t before = pad.padding == Side::pre ? length - size : 0;
  std::fill(row, row + before, pad.value);
  std::copy_n(sequence.begin() + first, size, row + before);
  std::fill(row + before + size, row + length, pad.value);
}

std::int64_t longest(std::span<const std::vector<std::int32_t>> sequences) {
  std::int64_t length = 0;
  for (const auto& sequence : sequences) length = std::max(length, std::ssize(sequence));
  return length;
}

void copy_rows(const Tensor& column, std::span<const std::int64_t> rows, std::byte* to) {
  const std::size_t bytes = column.size_bytes() / static_cast<std::size_t>(column.shape()[0]);
  for (const std::int64_t row : rows) {
    if (bytes > 0) std::memcpy(to, column.bytes() + static_cast<std::size_t>(row) * bytes, bytes);
    to += bytes;
  }
}

}  // namespace

Tensor pad_sequences(std::span<const std::vector<std::int32_t>> sequences, PadOptions options) {
  if (options.maxlen < 0) throw UsageError(cat("pad_sequences: maxlen is ", options.maxlen));
  const std::int64_t length = options.maxlen > 0 ? options.maxlen : longest(sequences);
  Tensor rows(Shape{std::ssize(sequences), length}, Dtype::i32);
  std::int32_t* row = rows.data<std::int32_t>().data();
  for (const auto& sequence : sequences) {
    pad_row(sequence, options, length, row);
    row += length;
  }
  return rows;
}

SequenceDataset::SequenceDataset(std::vector<std::vector<std::int32_t>> sequences, Tensor y,
                                 SequenceOptions options, SourceLocation where)
    : sequences_(std::move(sequences)), y_(std::move(y)), options_(std::move(options)) {
  PadOptions& pad = options_.pad;
  if (pad.maxlen < 0) throw UsageError(cat("sequences: maxlen is ", pad.maxlen), where);
  if (pad.maxlen == 0) pad.maxlen = longest(sequences_);
  if (pad.maxlen == 0) throw DataError("sequences: all of them are empty, and no maxlen is given", where);
  const auto expect_samples = [&](const Tensor& column, const char* name) {
    if (column.shape().rank() == 0 || column.shape()[0] != size()) {
      throw ShapeError(cat("sequences: ", name, " ", column.shape(), " for ", size(), " sequences"), where);
    }
  };
  expect_samples(y_, "targets");
  if (options_.weights) {
    expect_samples(*options_.weights, "weights");
    if (options_.weights->dtype() != Dtype::f32 || options_.weights->shape().rank() != 1) {
      throw ShapeError(cat("sequences: weights are ", options_.weights->dtype(), " ",
                           options_.weights->shape(), ", not f32 [", size(), "]"),
                       where);
    }
    for (const float weight : options_.weights->data<float>()) {
      if (!(weight >= 0 && std::isfinite(weight)))
        throw DataError(cat("sequences: sample weight ", weight), where);
    }
  }
  if (options_.buckets.empty()) return;
  if (options_.buckets.back() != pad.maxlen) options_.buckets.push_back(pad.maxlen);
  std::int64_t shorter = 0;
  for (const std::int64_t length : options_.buckets) {
    if (length <= shorter) {
      throw UsageError(
          cat("sequences: the bucket of length ", length, " comes after ", shorter, "; the last is maxlen"),
          where);
    }
    shorter = length;
  }
}

std::vector<Field> SequenceDataset::inputs() const {
  return {{.shape = {options_.pad.maxlen}, .dtype = Dtype::i32}};
}

std::vector<Field> SequenceDataset::targets() const {
  return {{.shape = y_.shape().without_front(), .dtype = y_.dtype()}};
}

std::size_t SequenceDataset::bucket_of(std::int64_t sample) const {
  const auto& buckets = options_.buckets;
  const std::int64_t length = std::ssize(sequences_.at(static_cast<std::size_t>(sample)));
  const auto found = std::ranges::lower_bound(buckets, length);
  const auto bucket = static_cast<std::size_t>(found - buckets.begin());
  return buckets.empty() ? 0 : std::min(bucket, buckets.size() - 1);  // what is too long is cut to the last
}

void SequenceDataset::read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const {
  read_bucket(std::numeric_limits<std::size_t>::max(), rows, fields);
}

void SequenceDataset::read_bucket(std::size_t bucket, std::span<const std::int64_t> rows,
                                  std::span<std::byte* const> fields) const {
  const std::size_t columns = options_.weights ? 3 : 2;
  if (fields.size() != columns)
    throw UsageError(cat("data set: ", fields.size(), " buffers for ", columns, " fields"));
  const std::int64_t length =
      bucket < options_.buckets.size() ? options_.buckets[bucket] : options_.pad.maxlen;
  auto* to = reinterpret_cast<std::int32_t*>(fields[0]);
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= size()) throw UsageError(cat("data set: sample ", row, " of ", size()));
    pad_row(sequences_[static_cast<std::size_t>(row)], options_.pad, length, to);
    to += length;
  }
  if (rows.empty()) return;
  copy_rows(y_, rows, fields[1]);
  if (options_.weights) copy_rows(*options_.weights, rows, fields[2]);
}

}  // namespace gpunn
