#include "src/io/batch_order.hpp"

#include <algorithm>
#include <numeric>

#include "src/core/random_streams.hpp"
#include "src/core/text.hpp"
#include "src/cpu/simd/dispatch.hpp"

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

// Permutation::fill, most of it many places at a time.
void fill(const Permutation& permutation, std::uint64_t first, std::span<std::int64_t> rows) {
  const std::int64_t done =
      cpu::simd::kernels().random.permute(permutation.network(), first, std::ssize(rows), rows.data());
  const auto count = static_cast<std::size_t>(done);
  for (std::int64_t& row : rows.first(count)) {
    const auto place = static_cast<std::uint64_t>(row);
    if (place >= permutation.size()) row = static_cast<std::int64_t>(permutation(place));
  }
  permutation.fill(first + count, rows.subspan(count));
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
    const Run run{bucket, batches_, sizes[bucket]};
    if (run.samples == 0) continue;
    runs_.push_back(run);
    batches_ += (run.samples + options_.batch_size - 1) / options_.batch_size;
  }
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
  among_.emplace(permutation(static_cast<std::size_t>(batches_), streams::kBuckets));
}

BatchOrder::Batch BatchOrder::take(std::int64_t index, std::span<std::int64_t> rows) const {
  if (among_) index = static_cast<std::int64_t>((*among_)(static_cast<std::uint64_t>(index)));
  const Run& run = *(std::ranges::upper_bound(runs_, index, {}, &Run::first) - 1);
  const std::int64_t begin = (index - run.first) * options_.batch_size;
  const Batch batch{run.bucket, begin, std::min(options_.batch_size, run.samples - begin)};
  rows = rows.first(static_cast<std::size_t>(batch.size));
  if (options_.shuffle) {
    fill(within_[batch.bucket], static_cast<std::uint64_t>(batch.begin), rows);
  } else {
    std::iota(rows.begin(), rows.end(), batch.begin);
  }
  if (bucketed()) {
    for (std::int64_t& row : rows) row = members_[batch.bucket][static_cast<std::size_t>(row)];
  }
  return batch;
}

}  // namespace gpunn
