#include "src/io/loader.hpp"

#include <algorithm>

#include "src/core/text.hpp"
#include "src/core/thread.hpp"
#include "src/io/gather.hpp"

namespace gpunn {
namespace {

LoaderOptions checked(const DatasetPtr& dataset, const LoaderOptions& options) {
  if (!dataset) throw UsageError("loader: no data set");
  if (options.batch_size < 1) throw UsageError(cat("loader: batch_size is ", options.batch_size));
  if (options.prefetch < 0) throw UsageError(cat("loader: prefetch is ", options.prefetch));
  if (dataset->size() < 0) throw UsageError(cat("loader: the data set has size ", dataset->size()));
  return options;
}

}  // namespace

Loader::Loader(DatasetPtr dataset, const LoaderOptions& options)
    : dataset_(std::move(dataset)),
      options_(checked(dataset_, options)),
      fields_(fields_of(*dataset_)),
      inputs_(dataset_->inputs().size()),
      resident_(!dataset_->resident().empty()),
      samples_(dataset_->size()),
      order_(*dataset_, {.batch_size = options_.batch_size,
                         .shuffle = options_.shuffle,
                         .seed = options_.seed,
                         .buckets = options_.buckets}) {
  if (resident_ && order_.bucketed()) throw UsageError("loader: data in memory cannot lie in buckets");
  // One batch is in the consumer's hands while the others are read ahead. Rows alone need no reading: they
  // are chosen one batch ahead.
  const std::int64_t ahead = resident_ ? 1 : options_.prefetch;
  const std::int64_t slots =
      std::min<std::int64_t>(ahead + 1, std::max<std::int64_t>(batches_per_epoch(), 1));
  for (std::int64_t i = 0; i < slots; ++i) slots_.push_back(make_slot());
}

Loader::~Loader() {
  stop_reading();
}

Loader::Slot Loader::make_slot() const {
  Slot slot;
  const std::int64_t capacity = std::min(options_.batch_size, samples_);
  slot.rows.resize(static_cast<std::size_t>(capacity));
  if (resident_) return slot;
  for (const Field& field : fields_) {
    slot.delivered.emplace_back(field.shape.with_front(capacity), delivered_dtype(field));
    // A field that arrives as it is stored is read straight into place.
    const bool as_stored = delivered_dtype(field) == field.dtype;
    slot.stored.push_back(as_stored ? slot.delivered.back()
                                    : Tensor(field.shape.with_front(capacity), field.dtype));
    slot.delivered_pointers.push_back(slot.delivered.back().bytes());
    slot.stored_pointers.push_back(slot.stored.back().bytes());
  }
  return slot;
}

void Loader::fill(Slot& slot, std::int64_t index) const {
  slot.failure = nullptr;
  try {
    read_batch(slot, index);
  } catch (...) {
    slot.failure = std::current_exception();
  }
}

void Loader::read_batch(Slot& slot, std::int64_t index) const {
  const BatchOrder::Batch taken = order_.take(index, slot.rows);
  const std::int64_t size = taken.size;
  const auto rows = std::span(slot.rows).first(static_cast<std::size_t>(size));
  slot.batch = {.index = index,
                .size = size,
                .length = order_.length(taken.bucket),
                .rows = {},
                .upcoming = {},
                .fields = {}};
  if (resident_) {
    dataset_->to_resident_rows(rows);
    slot.batch.rows = rows;
    return;
  }
  if (order_.bucketed()) {
    dataset_->read_bucket(taken.bucket, rows, slot.stored_pointers);
  } else {
    dataset_->read(rows, slot.stored_pointers);
  }
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (slot.stored_pointers[i] == slot.delivered_pointers[i]) continue;
    Field field = fields_[i];
    if (order_.bucketed() && i < inputs_)
      field.shape = field.shape.without_front().with_front(slot.batch.length);
    deliver(field, size, slot.stored_pointers[i], slot.delivered_pointers[i]);
  }
  slot.batch.fields = slot.delivered_pointers;
}

void Loader::start_epoch(std::uint32_t epoch) {
  stop_reading();
  order_.start_epoch(epoch);
  started_ = true;
  next_batch_ = ready_ = released_ = 0;
  if (!resident_ && options_.prefetch > 0 && batches_per_epoch() > 0) {
    reader_ = start_thread("gpunn-loader", [this] { read_ahead(); });
  }
}

void Loader::stop_reading() {
  if (!reader_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reader_.join();
  stop_ = false;
}

void Loader::read_ahead() {
  for (std::int64_t batch = 0; batch < batches_per_epoch(); ++batch) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || batch < released_ + std::ssize(slots_); });
      if (stop_) return;
    }
    Slot& slot = slots_[static_cast<std::size_t>(batch) % slots_.size()];
    fill(slot, batch);
    const bool failed = slot.failure != nullptr;  // from here on the slot is the consumer's
    {
      const std::lock_guard lock(mutex_);
      ready_ = batch + 1;
    }
    changed_.notify_all();
    if (failed) return;
  }
}

// Resident data: batch `index` and the one after it.
void Loader::choose_rows(std::int64_t index) {
  for (; ready_ <= index + 1 && ready_ < batches_per_epoch(); ++ready_)
    fill(slots_[static_cast<std::size_t>(ready_) % slots_.size()], ready_);
  if (index + 1 == ready_) return;
  const Slot& after = slots_[static_cast<std::size_t>(index + 1) % slots_.size()];
  if (!after.failure)
    slots_[static_cast<std::size_t>(index) % slots_.size()].batch.upcoming = after.batch.rows;
}

const Batch* Loader::next() {
  if (!started_) throw UsageError("loader: next() before start_epoch()");
  if (next_batch_ >= batches_per_epoch()) return nullptr;
  const std::int64_t index = next_batch_;
  Slot& slot = slots_[static_cast<std::size_t>(index) % slots_.size()];
  if (reader_.joinable()) {
    std::unique_lock lock(mutex_);
    released_ = index;
    changed_.notify_all();
    changed_.wait(lock, [&] { return ready_ > index; });
  } else if (resident_) {
    choose_rows(index);
  } else {
    fill(slot, index);
  }
  if (slot.failure) {
    next_batch_ = batches_per_epoch();  // the epoch ends here, as the reading thread has
    std::rethrow_exception(slot.failure);
  }
  ++next_batch_;
  return &slot.batch;
}

}  // namespace gpunn
