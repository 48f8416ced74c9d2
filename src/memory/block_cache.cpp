#include "src/memory/block_cache.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "src/core/text.hpp"

namespace gpunn {
namespace {

std::string in_mib(std::size_t bytes) {
  std::ostringstream out;
  out.precision(1);
  out << std::fixed << static_cast<double>(bytes) / (1 << 20) << " MiB";
  return out.str();
}

}  // namespace

std::size_t size_class(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kClassesPerDoubling = 8;
  const std::size_t step =
      std::max(alignment, std::bit_floor(std::max<std::size_t>(bytes, 1)) / kClassesPerDoubling);
  if (bytes > std::numeric_limits<std::size_t>::max() - step) return 0;  // no such block
  return (bytes + step - 1) / step * step;
}

class BlockCache::State {
 public:
  State(std::shared_ptr<Upstream> upstream, std::size_t alignment)
      : upstream_(std::move(upstream)), alignment_(alignment) {}

  ~State() { release_cached(); }  // no buffer is left: each holds this state

  std::byte* take(std::size_t bytes, std::string_view label, SourceLocation where) {
    const std::size_t block_bytes = size_class(bytes, alignment_);
    const std::lock_guard lock(mutex_);
    ++statistics_.allocations;
    void* block = block_bytes == 0 ? nullptr : reuse(block_bytes);
    if (block == nullptr) block = ask_upstream(bytes, block_bytes, label, where);
    try {
      live_.emplace(block, Block{block_bytes, std::string(label)});
    } catch (...) {
      upstream_->deallocate(block, block_bytes);
      throw;
    }
    statistics_.in_use += block_bytes;
    statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
    ++statistics_.live;
    return static_cast<std::byte*>(block);
  }

  void give_back(void* memory) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(memory);
    const std::size_t bytes = found->second.bytes;
    live_.erase(found);
    --statistics_.live;
    statistics_.in_use -= bytes;
    try {
      cached_[bytes].push_back(memory);
      statistics_.cached += bytes;
    } catch (...) {  // no memory for the list: then the block is not kept
      upstream_->deallocate(memory, bytes);
    }
  }

  void release_cached() noexcept {
    const std::lock_guard lock(mutex_);
    release();
  }

  MemoryStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  struct Block {
    std::size_t bytes;
    std::string label;
  };

  void* reuse(std::size_t block_bytes) {
    const auto list = cached_.find(block_bytes);
    if (list == cached_.end() || list->second.empty()) return nullptr;
    void* block = list->second.back();
    list->second.pop_back();
    statistics_.cached -= block_bytes;
    ++statistics_.hits;
    return block;
  }

  void* ask_upstream(std::size_t bytes, std::size_t block_bytes, std::string_view label,
                     SourceLocation where) {
    if (block_bytes != 0) {
      try {
        return upstream_->allocate(block_bytes);
      } catch (const OutOfMemory&) {
        if (statistics_.cached == 0) throw OutOfMemory(explain(bytes, label), bytes, where);
      }
      const std::string explanation = explain(bytes, label);  // with what was cached before
      release();
      try {
        return upstream_->allocate(block_bytes);
      } catch (const OutOfMemory&) {
        throw OutOfMemory(explanation, bytes, where);
      }
    }
    throw OutOfMemory(explain(bytes, label), bytes, where);
  }

  std::string explain(std::size_t bytes, std::string_view label) const {
    constexpr std::size_t kHolders = 5;
    std::map<std::string_view, std::size_t> by_label;
    for (const auto& [memory, block] : live_) by_label[block.label] += block.bytes;
    std::vector<std::pair<std::string_view, std::size_t>> holders(by_label.begin(), by_label.end());
    std::stable_sort(holders.begin(), holders.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    if (holders.size() > kHolders) holders.resize(kHolders);

    const auto free = upstream_->free_bytes();
    std::string text = cat("out of memory on ", upstream_->name(), ": ", in_mib(bytes), " asked for ", label,
                           "; ", free ? in_mib(*free) + " free, " : "", in_mib(statistics_.cached),
                           " cached, ", in_mib(statistics_.in_use), " in use");
    for (std::size_t i = 0; i < holders.size(); ++i) {
      text += cat(i == 0 ? "; largest holders: " : ", ", holders[i].first, " ", in_mib(holders[i].second));
    }
    return text;
  }

  void release() noexcept {
    for (auto& [bytes, blocks] : cached_) {
      for (void* block : blocks) upstream_->deallocate(block, bytes);
    }
    cached_.clear();
    statistics_.cached = 0;
  }

  mutable std::mutex mutex_;
  const std::shared_ptr<Upstream> upstream_;
  const std::size_t alignment_;
  std::unordered_map<void*, Block> live_;
  std::map<std::size_t, std::vector<void*>> cached_;
  MemoryStatistics statistics_;
};

BlockCache::BlockCache(std::shared_ptr<Upstream> upstream, std::size_t alignment) {
  if (!upstream) throw UsageError("block cache: no upstream");
  if (!std::has_single_bit(alignment) || alignment > upstream->alignment()) {
    throw UsageError(
        cat("block cache: alignment ", alignment, " is not a power of two up to ", upstream->alignment()));
  }
  state_ = std::make_shared<State>(std::move(upstream), alignment);
}

Buffer BlockCache::allocate(std::size_t bytes, std::string_view label, SourceLocation where) {
  Buffer buffer;
  buffer.label_ = label;
  if (bytes == 0) return buffer;
  buffer.data_ = state_->take(bytes, label, where);
  buffer.size_ = bytes;
  buffer.state_ = state_;
  return buffer;
}

MemoryStatistics BlockCache::statistics() const {
  return state_->statistics();
}

void BlockCache::release_cached() {
  state_->release_cached();
}

Buffer::~Buffer() {
  if (data_ != nullptr) state_->give_back(data_);
}

}  // namespace gpunn
