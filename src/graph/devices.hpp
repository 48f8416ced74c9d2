// Which device a user gets: the name they gave, and what this machine has.
#pragma once

#include <string>
#include <string_view>

#include "gpunn/error.hpp"

namespace gpunn {

// Devices: "auto", "cpu", "cuda" (the first), "cuda:N", and whatever was registered. "auto" is the first
// usable CUDA device, else the cpu. Where a CUDA device was asked for and cannot be had, says why in one line
// and answers "cpu"; with `strict` it throws DeviceError instead, as it does for a name that is no device and
// for what can only be planned for.
std::string resolve_device(std::string_view asked, bool strict, SourceLocation where = {});

// What keeps CUDA devices, or some of them, from being used.
struct CudaProblem {
  std::string reason;   // empty: nothing
  bool broken = false;  // there is a driver: this is not merely a machine without a GPU
};
// Loads the CUDA backend on the first call.
const CudaProblem& cuda_problem();

// The device that a plan is asked for: one that there is, "null" (plans as the cpu does, and runs nothing),
// or the description of a GPU that is not here ("h100"), which can be planned for and nothing else. Loads the
// CUDA backend for the latter, with no driver. Throws DeviceError naming what there is.
std::string resolve_plan_device(std::string_view asked, SourceLocation where = {});

}  // namespace gpunn
