// Runs a plan on the CPU: binds every operand to its memory once, then takes slices through the steps.
#pragma once

#include "src/ir/backend.hpp"

namespace gpunn::cpu {

std::unique_ptr<Backend> make_backend();

}  // namespace gpunn::cpu
