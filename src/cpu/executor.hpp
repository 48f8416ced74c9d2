// Runs a plan on the CPU: binds every operand to its memory once, then takes slices through the steps.
#pragma once

#include "src/graph/executable.hpp"

namespace gpunn::cpu {

// Throws OutOfMemory, and Error when an implementation is not the one that was planned.
std::unique_ptr<Executable> bind(Planned planned, VariableStore& variables, ThreadPool& pool);

}  // namespace gpunn::cpu
