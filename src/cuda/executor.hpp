// Runs a plan on a CUDA device: every node queued on one stream, captured as a CUDA graph once and then
// replayed.
#pragma once

#include "src/cuda/device.hpp"
#include "src/ir/backend.hpp"

namespace gpunn::cuda {

struct ExecutorOptions {
  bool capture = true;    // false: every step queues every node anew (the oracle for capture)
  bool libraries = true;  // false: no cuBLASLt, no cuDNN
};

// Throws OutOfMemory, and Error when an implementation is not the one that was planned.
std::unique_ptr<Executable> bind(std::shared_ptr<Device> device, Target target, Planned planned,
                                 VariableStore& variables, const ExecutorOptions& options);

}  // namespace gpunn::cuda
