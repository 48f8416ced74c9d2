// Arrays in the memory of the device, for tests that call libraries and kernels directly.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "gpunn/random.hpp"
#include "kernels/check.hpp"
#include "src/cuda/device.hpp"

namespace gpunn::cuda {

inline std::vector<float> noise(std::int64_t count, std::uint32_t stream) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 2 * uniform01({.seed = 11, .stream = stream}, i) - 1;
  return values;
}

class DeviceFloats {
 public:
  // The first value lies `shift` floats behind an aligned address.
  explicit DeviceFloats(const std::vector<float>& values, std::size_t shift = 0)
      : count_(values.size()), shift_(shift) {
    check(cudaMalloc(&raw_, (count_ + shift) * sizeof(float) + 1));
    if (count_ > 0) check(cudaMemcpy(data(), values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice));
  }
  ~DeviceFloats() { static_cast<void>(cudaFree(raw_)); }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  float* data() const { return static_cast<float*>(raw_) + shift_; }
  std::vector<float> read() const {
    std::vector<float> values(count_);
    if (count_ > 0) check(cudaMemcpy(values.data(), data(), count_ * sizeof(float), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  void* raw_ = nullptr;
  std::size_t count_, shift_;
};

}  // namespace gpunn::cuda
