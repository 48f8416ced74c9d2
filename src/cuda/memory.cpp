#include "src/cuda/memory.hpp"

#include "kernels/check.hpp"

namespace gpunn::cuda {

OnDevice::OnDevice(int ordinal) {
  check(cudaGetDevice(&before_));
  if (before_ != ordinal) check(cudaSetDevice(ordinal));
}

OnDevice::~OnDevice() {
  static_cast<void>(cudaSetDevice(before_));
}

void* DeviceUpstream::allocate(std::size_t bytes) {
  const OnDevice here(ordinal_);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw OutOfMemory(name_ + ": cudaMalloc of " + std::to_string(bytes) + " bytes failed", bytes);
  }
  check(status);
  return memory;
}

void DeviceUpstream::deallocate(void* memory, std::size_t) noexcept {
  static_cast<void>(cudaFree(memory));
}

std::optional<std::size_t> DeviceUpstream::free_bytes() const {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return std::nullopt;
  }
  return free;
}

Pinned::Pinned(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw OutOfMemory("cudaMallocHost of " + std::to_string(bytes) + " bytes failed", bytes);
  }
  check(status);
  memory_.reset(static_cast<std::byte*>(memory));
}

void Pinned::Free::operator()(std::byte* memory) const noexcept {
  static_cast<void>(cudaFreeHost(memory));
}

}  // namespace gpunn::cuda
