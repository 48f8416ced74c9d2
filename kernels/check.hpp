// The status of every call of the CUDA runtime goes through check().
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "gpunn/error.hpp"

namespace gpunn {

// A function, not a macro: the default argument is the caller's line.
inline void check(cudaError_t code, SourceLocation at = SourceLocation::current()) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // clear it, or the next innocent call reports this failure again
  throw DeviceError(std::string(cudaGetErrorName(code)) + ": " + cudaGetErrorString(code), at);
}

}  // namespace gpunn
