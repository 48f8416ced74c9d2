#include "src/memory/upstream.hpp"

#include <fstream>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn {

void* HostUpstream::allocate(std::size_t bytes) {
  return allocate_host(bytes, "the block cache", alignment_);
}

void HostUpstream::deallocate(void* memory, std::size_t) noexcept {
  deallocate_host(memory);
}

std::optional<std::size_t> HostUpstream::free_bytes() const {
  std::ifstream meminfo("/proc/meminfo");
  std::string name, unit;
  std::size_t kibibytes = 0;
  while (meminfo >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * 1024;
    std::getline(meminfo, unit);
  }
  return std::nullopt;
}

FakeUpstream::~FakeUpstream() {
  for (const auto& [memory, bytes] : blocks_) deallocate_host(memory);
}

void* FakeUpstream::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (++allocations_ == failing_ || bytes > capacity_ - live_) {
    throw OutOfMemory(cat("out of fake memory: ", bytes, " bytes asked"), bytes);
  }
  void* memory = allocate_host(bytes, "a fake upstream");
  blocks_.emplace(memory, bytes);
  live_ += bytes;
  return memory;
}

void FakeUpstream::deallocate(void* memory, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const auto block = blocks_.find(memory);
  if (block == blocks_.end() || block->second != bytes) {
    ++bad_deallocations_;
    return;
  }
  live_ -= bytes;
  blocks_.erase(block);
  deallocate_host(memory);
}

std::optional<std::size_t> FakeUpstream::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return capacity_ - live_;
}

void FakeUpstream::fail_at(std::int64_t allocation) {
  const std::lock_guard lock(mutex_);
  failing_ = allocation;
}

std::int64_t FakeUpstream::allocations() const {
  const std::lock_guard lock(mutex_);
  return allocations_;
}

std::size_t FakeUpstream::live_bytes() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

std::int64_t FakeUpstream::bad_deallocations() const {
  const std::lock_guard lock(mutex_);
  return bad_deallocations_;
}

}  // namespace gpunn
