// GPUs that need not be there: what plans for them depend on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gpunn::cuda {

struct KnownDevice {
  const char* name;
  int architecture;  // 90 for compute capability 9.0
  int multiprocessors;
  int shared_per_block;  // opt-in limit, bytes
  int shared_reserved;   // by the system, per block
  int blocks_per_multiprocessor;
  int threads_per_multiprocessor;
  std::int64_t memory;  // bytes
  int clock_khz, memory_clock_khz;
  std::int64_t l2_bytes;
};

// One of each architecture that the library is compiled for and cuDNN 9 plans for.
std::span<const KnownDevice> known_devices();

// The device as cuDNN describes devices.
std::string cudnn_json(const KnownDevice& device);

}  // namespace gpunn::cuda
