#include "src/io/batch_order.hpp"

#include <algorithm>
#include <numeric>

#include "src/core/random_streams.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// Ascending, positive, and the last is as long as the inputs.
void check_lengths(const std::vector<std::int64_t>& lengths, const std::vector<Field>& inputs) {
  std::int64_t shorter = 0;
  for (const std::int64_t length : lengths) {
    if (length <= shorter) throw UsageError(cat("loader: a bucket of length ", length, " after ", shorter));
    shorter = length;
  }
  for (const Field& input : inputs) {
    if (input.shape.rank() == 0 || input.shape[0] != shorter)
      throw UsageError(cat("loader: the last bucket has length ", shorter, ", an input is ", input.shape));
  }
}

}  // namespace

BatchOrder::BatchOrder(const Dataset& data, const BatchOrderOptions& options)
    : options_(options), size_(data.size()) {
  const std::int64_t samples = size_;
  std::vector<std::int64_t> sizes{samples};
  if (options_.buckets) lengths_ = data.bucket_lengths();
  if (bucketed()) {
    check_lengths(lengths_, data.inputs());
    members_.resize(lengths_.size());
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      const std::size_t bucket = data.bucket_of(sample);
      if (bucket >= members_.size())
        throw UsageError(cat("loader: sample ", sample, " is in bucket ", bucket, " of ", members_.size()));
      members_[bucket].push_back(sample);
    }
    sizes.clear();
    for (const auto& members : members_) sizes.push_back(std::ssize(members));
  }
  for (std::size_t bucket = 0; bucket < sizes.size(); ++bucket) {
    for (std::int64_t begin = 0; begin < sizes[bucket]; begin += options_.batch_size) {
      const std::int64_t size = std::min(options_.batch_size, sizes[bucket] - begin);
      if (size == options_.batch_size || !options_.drop_remainder) batches_.push_back({bucket, begin, size});
    }
  }
  within_.reserve(sizes.size());
}

std::int64_t BatchOrder::samples() const {
  std::int64_t samples = 0;
  for (const Batch& batch : batches_) samples += batch.size;
  return samples;
}

void BatchOrder::start_epoch(std::uint32_t epoch) {
  const auto permutation = [&](std::size_t n, std::uint32_t stream) {
    return Permutation(n, {.seed = options_.seed, .stream = stream, .step = epoch});
  };
  within_.clear();
  among_.reset();
  if (!options_.shuffle) return;
  if (!bucketed()) {
    within_.push_back(permutation(static_cast<std::size_t>(size_), streams::kShuffle));
    return;
  }
  for (const auto& members : members_) within_.push_back(permutation(members.size(), streams::kShuffle));
  among_.emplace(permutation(batches_.size(), streams::kBuckets));
}

BatchOrder::Batch BatchOrder::take(std::int64_t index, std::span<std::int64_t> rows) const {
  const auto place = static_cast<std::uint64_t>(index);
  const Batch batch = batches_[among_ ? (*among_)(place) : place];
  rows = rows.first(static_cast<std::size_t>(batch.size));
  if (options_.shuffle) {
    within_[batch.bucket].fill(static_cast<std::uint64_t>(batch.begin), rows);
  } else {
    std::iota(rows.begin(), rows.end(), batch.begin);
  }
  if (bucketed()) {
    for (std::int64_t& row : rows) row = members_[batch.bucket][static_cast<std::size_t>(row)];
  }
  return batch;
}

}  // namespace gpunn
