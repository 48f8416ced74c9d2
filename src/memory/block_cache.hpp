// Keeps the memory it got, so that models that are built, run and dropped do not go to the system each time.
//
// Blocks come in size classes, eight to each doubling, so at most an eighth is lost; a block returns to the
// list of its class. Nothing is split or joined: a training step lives in one arena, so blocks are few and
// large.
//
// Exported, as all that libgpunn_cuda calls: that is a library of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gpunn/devices.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "src/memory/upstream.hpp"

namespace gpunn {

class Buffer;

// Thread-safe. Buffers may outlive the cache.
class GPUNN_API BlockCache {
 public:
  // `alignment`: a power of two, at most the upstream's; every block starts at a multiple of it.
  explicit BlockCache(std::shared_ptr<Upstream> upstream, std::size_t alignment = 64);

  // `label` says what it is for. Memory that has been used before is handed out as it is, not zeroed. When
  // the upstream has no more, cached blocks are given back and it is asked again; then OutOfMemory says what
  // was asked, free and cached, and the five largest holders.
  Buffer allocate(std::size_t bytes, std::string_view label, SourceLocation where = {});

  MemoryStatistics statistics() const;
  void release_cached();  // gives every block that is not in use back to the upstream

 private:
  friend class Buffer;
  class State;
  std::shared_ptr<State> state_;
};

// A block of memory, returned to its cache at the end of its life.
class GPUNN_API Buffer {
 public:
  Buffer() = default;  // no memory
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer();

  std::byte* data() const { return data_; }   // null if size() is 0
  std::size_t size() const { return size_; }  // as asked
  const std::string& label() const { return label_; }

 private:
  friend class BlockCache;
  void swap(Buffer& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(label_, other.label_);
  }

  std::shared_ptr<BlockCache::State> state_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::string label_;
};

// The size of the block that serves a request.
std::size_t size_class(std::size_t bytes, std::size_t alignment);

}  // namespace gpunn
