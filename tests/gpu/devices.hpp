// The device that a program is for: real_devices.cpp or sim_devices.cpp, whichever it links, says which.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gpunn::tests {

void register_devices();          // the software device, in the build that has it
std::string device_under_test();  // "cuda" or "sim"
// What only the software device sees: CUDA graphs that were launched, and what it last found wrong.
std::optional<std::uint64_t> graph_launches();
std::string last_complaint();

}  // namespace gpunn::tests
