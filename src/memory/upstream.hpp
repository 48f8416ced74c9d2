// Where a block cache gets its memory from: the host here, a GPU in the CUDA backend, a pretended machine in
// tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/core/host_memory.hpp"

namespace gpunn {

// Thread-safe.
class Upstream {
 public:
  virtual ~Upstream() = default;
  virtual std::string_view name() const = 0;      // "host", "cuda:0"
  virtual std::size_t alignment() const = 0;      // every block starts at a multiple of it
  virtual void* allocate(std::size_t bytes) = 0;  // throws OutOfMemory. REQUIRES: bytes > 0
  virtual void deallocate(void* memory, std::size_t bytes) noexcept = 0;
  virtual std::optional<std::size_t> free_bytes() const = 0;  // what could still be had, if that is known
};

class HostUpstream final : public Upstream {
 public:
  explicit HostUpstream(std::size_t alignment = kHostAlignment) : alignment_(alignment) {}

  std::string_view name() const override { return "host"; }
  std::size_t alignment() const override { return alignment_; }
  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory, std::size_t bytes) noexcept override;
  std::optional<std::size_t> free_bytes() const override;  // the system's MemAvailable

 private:
  const std::size_t alignment_;
};

// A machine with `capacity` bytes, for tests: it counts, checks what it gets back, and fails when told to.
class FakeUpstream final : public Upstream {
 public:
  explicit FakeUpstream(std::size_t capacity) : capacity_(capacity) {}
  ~FakeUpstream() override;

  std::string_view name() const override { return "fake"; }
  std::size_t alignment() const override { return kHostAlignment; }
  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory, std::size_t bytes) noexcept override;
  std::optional<std::size_t> free_bytes() const override;

  void fail_at(std::int64_t allocation);  // counted from 1, from construction; 0 = none
  std::int64_t allocations() const;       // asked for so far, failed ones included
  std::size_t live_bytes() const;
  std::int64_t bad_deallocations() const;  // of a block it does not know, or with another size

 private:
  mutable std::mutex mutex_;
  const std::size_t capacity_;
  std::size_t live_ = 0;
  std::int64_t allocations_ = 0, failing_ = 0, bad_deallocations_ = 0;
  std::unordered_map<void*, std::size_t> blocks_;
};

}  // namespace gpunn
