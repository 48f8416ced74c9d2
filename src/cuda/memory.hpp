// Memory of a CUDA device and pinned memory of the host.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>

#include "src/memory/upstream.hpp"

namespace gpunn::cuda {

// Makes `ordinal` the current device of this thread for its lifetime: every thread starts out on device 0.
class OnDevice {
 public:
  explicit OnDevice(int ordinal);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

// cudaMalloc. Kernels may still be using a block that is returned to the cache in front of it, but a block
// only goes to another use on the same stream, behind them; what goes back to the device waits for it
// (cudaFree does).
class DeviceUpstream final : public Upstream {
 public:
  explicit DeviceUpstream(int ordinal) : ordinal_(ordinal), name_("cuda:" + std::to_string(ordinal)) {}

  std::string_view name() const override { return name_; }
  std::size_t alignment() const override { return 256; }  // what cudaMalloc promises, and wide loads want
  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory, std::size_t bytes) noexcept override;
  std::optional<std::size_t> free_bytes() const override;

 private:
  const int ordinal_;
  const std::string name_;
};

// Page-locked host memory: copies from and to it run beside the host.
class Pinned {
 public:
  Pinned() = default;
  explicit Pinned(std::size_t bytes);  // throws OutOfMemory

  std::byte* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace gpunn::cuda
