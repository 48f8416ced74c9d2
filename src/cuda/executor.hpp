// Runs a plan on a CUDA device. Nodes that the plan puts side by side go on two streams, joined again behind
// each pair; the step, or a group of steps on resident data, is captured as a CUDA graph once and then
// replayed.
#pragma once

#include "src/cuda/device.hpp"
#include "src/ir/backend.hpp"

namespace gpunn::cuda {

struct ExecutorOptions {
  bool capture = true;    // false: every step queues every node anew (the oracle for capture)
  bool libraries = true;  // false: no cuBLASLt, no cuDNN
  bool branches = true;   // false: one node after another on one stream
};

// Throws OutOfMemory, and Error when an implementation is not the one that was planned.
std::unique_ptr<Executable> bind(std::shared_ptr<Device> device, Target target, Planned planned,
                                 VariableStore& variables, const ExecutorOptions& options);

}  // namespace gpunn::cuda
