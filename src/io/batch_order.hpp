// Which samples make the batches of an epoch, and in what order: a function of (seed, epoch) alone.
//
// Where a data set has buckets, every batch is of one bucket: the samples of each are shuffled among
// themselves, cut into batches, and the batches of all are then shuffled.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gpunn/data.hpp"
#include "gpunn/random.hpp"

namespace gpunn {

struct BatchOrderOptions {
  std::int64_t batch_size = 32;
  bool shuffle = true;
  std::uint64_t seed = 0;
  bool buckets = true;  // false: as if there were none
};

class BatchOrder {
 public:
  struct Batch {
    std::size_t bucket = 0;
    std::int64_t begin = 0, size = 0;  // within the bucket
  };

  // Throws UsageError for buckets that contradict the data set's inputs.
  BatchOrder(const Dataset& data, const BatchOrderOptions& options);

  std::int64_t batches() const { return batches_; }
  // What follows each other in an unshuffled epoch: the batches of one bucket.
  struct Run {
    std::size_t bucket = 0;
    std::int64_t first = 0;    // batch of the epoch
    std::int64_t samples = 0;  // at least one
  };
  const std::vector<Run>& runs() const { return runs_; }
  bool bucketed() const { return !lengths_.empty(); }
  std::int64_t length(std::size_t bucket) const { return bucketed() ? lengths_[bucket] : 0; }

  void start_epoch(std::uint32_t epoch);
  // Batch number `index` of the epoch; writes the samples to the front of `rows`, which has room for
  // batch_size of them. REQUIRES: start_epoch() was called.
  Batch take(std::int64_t index, std::span<std::int64_t> rows) const;

 private:
  BatchOrderOptions options_;
  std::int64_t size_ = 0;                           // of the data set
  std::vector<std::int64_t> lengths_;               // of the buckets; empty: there are none
  std::vector<std::vector<std::int64_t>> members_;  // samples of each bucket; none are kept for [0, n)
  std::vector<Run> runs_;
  std::int64_t batches_ = 0;
  std::vector<Permutation> within_;  // each bucket, in this epoch
  std::optional<Permutation> among_;
};

}  // namespace gpunn
