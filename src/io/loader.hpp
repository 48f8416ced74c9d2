// Cuts a data set into batches, in the order of an epoch, and reads ahead.
//
// Sample i of an epoch is a function of (seed, epoch, i) alone, so batches do not depend on how far ahead, or
// on which thread, they are read.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "gpunn/data.hpp"
#include "src/io/batch_order.hpp"

namespace gpunn {

struct LoaderOptions {
  std::int64_t batch_size = 32;
  bool shuffle = true;
  std::uint64_t seed = 0;
  int prefetch = 2;     // batches read ahead on a thread of the loader's own; 0 = none, read when asked
  bool buckets = true;  // false: samples in buckets are read like others, at full length
};

struct Batch {
  std::int64_t index = 0;   // within the epoch
  std::int64_t size = 0;    // samples
  std::int64_t length = 0;  // of the bucket that they are from; 0: the data set has none
  // Resident data: the rows of Dataset::resident() to gather, and no fields. Otherwise empty.
  std::span<const std::int64_t> rows;
  std::span<const std::int64_t> upcoming;  // those of the next batch: what to fetch into the cache meanwhile
  // Else one buffer per field, as delivered (delivered_dtype), 64-byte aligned.
  std::span<std::byte* const> fields;
};

// For one consumer thread.
class Loader {
 public:
  // Throws UsageError for options out of range.
  Loader(DatasetPtr dataset, const LoaderOptions& options);
  ~Loader();  // waits for at most the one read in progress
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t batches_per_epoch() const { return order_.batches(); }
  const BatchOrder& order() const { return order_; }
  const std::vector<Field>& fields() const { return fields_; }

  // Abandons what was going on and turns to `epoch`.
  void start_epoch(std::uint32_t epoch);
  // The next batch, valid until the next call of anything here; null at the end of the epoch. Rethrows what
  // reading it threw.
  const Batch* next();

 private:
  struct Slot {
    Batch batch;
    std::vector<std::int64_t> rows;
    std::vector<Tensor> stored, delivered;
    std::vector<std::byte*> stored_pointers, delivered_pointers;
    std::exception_ptr failure;
  };

  Slot make_slot() const;
  void read_batch(Slot& slot, std::int64_t index) const;
  void fill(Slot& slot, std::int64_t index) const;  // errors go into the slot
  void stop_reading();
  void read_ahead();
  void choose_rows(std::int64_t index);

  const DatasetPtr dataset_;
  const LoaderOptions options_;
  std::vector<Field> fields_;
  std::size_t inputs_ = 0;  // how many of them
  bool resident_ = false;
  std::int64_t samples_ = 0;

  BatchOrder order_;  // changes only while nothing is read
  bool started_ = false;
  std::int64_t next_batch_ = 0;
  std::vector<Slot> slots_;  // batch b of an epoch lives in slot b % slots

  // Shared with the reading thread. It may fill batch b when b < released_ + slots.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t ready_ = 0;     // batches before this one have been read
  std::int64_t released_ = 0;  // batches before this one are no longer looked at
  bool stop_ = false;
  std::thread reader_;
};

}  // namespace gpunn
