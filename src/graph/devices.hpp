// Which device a user gets: the name they gave, and what this machine has.
#pragma once

#include <string>
#include <string_view>

namespace gpunn {

// Devices: "auto", "cpu", "cuda" (the first), "cuda:N", "null", and whatever was registered. "auto" is the
// first usable CUDA device, else the cpu. Where a CUDA device was asked for and cannot be had, says why in
// one line and answers "cpu"; with `strict` it throws DeviceError instead, as it does for a name that is no
// device.
std::string resolve_device(std::string_view asked, bool strict);

// Empty when CUDA devices can be used; else the reason. Loads the CUDA backend on the first call.
const std::string& why_no_cuda();

}  // namespace gpunn
