// The devices of this machine, and the memory of those that have their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/error.hpp"
#include "gpunn/export.hpp"

namespace gpunn {

// What models can run on: "cpu", "cuda:0", ... Loads the CUDA backend where there is a driver.
GPUNN_API std::vector<std::string> devices();

// Of the cache that all models on a device take their memory from. A model's step lives in one buffer, its
// weights and optimizer state in others; what a model has given up is kept for the next.
struct MemoryStatistics {
  std::size_t in_use = 0;        // bytes in buffers, as rounded to size classes
  std::size_t cached = 0;        // bytes kept for later
  std::size_t peak = 0;          // the most that was ever in use
  std::int64_t live = 0;         // buffers
  std::int64_t allocations = 0;  // asked for, ever
  std::int64_t hits = 0;         // of those, served without the driver
};

// "cuda" is "cuda:0". Both throw DeviceError where there is no such device, and UsageError for the cpu, which
// shares the memory of the process.
GPUNN_API MemoryStatistics memory_statistics(std::string_view device, SourceLocation where = {});
// Gives back to the driver what no model uses, so that other programs can have it.
GPUNN_API void release_cached_memory(std::string_view device, SourceLocation where = {});

}  // namespace gpunn
