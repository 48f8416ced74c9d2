// The built-in CUDA implementations, from ops.def: each stem registers its ops in one function,
// implement_<stem>().
#pragma once

#include <cstring>
#include <vector>

#include "gpunn/cuda.hpp"
#include "src/cuda/device.hpp"

namespace gpunn::cuda {

void register_builtin_ops();  // once per process; later calls do nothing

#define GPUNN_OP(stem) void implement_##stem();
#include "src/ops/ops.def"
#undef GPUNN_OP

// A call of one of our own kernels.
template <class Run>
Implementation own_kernel(Run run, int launches = 1, std::size_t scratch = 0) {
  Implementation made;
  made.name = "own kernel";
  made.why = "memory-bound";
  made.scratch = scratch;
  made.launches = launches;
  made.run = std::move(run);
  return made;
}

template <class T>
std::string bytes_of(const std::vector<T>& table) {
  std::string bytes(table.size() * sizeof(T), '\0');
  if (!table.empty()) std::memcpy(bytes.data(), table.data(), bytes.size());
  return bytes;
}

}  // namespace gpunn::cuda
