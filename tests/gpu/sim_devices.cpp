#include "simt/simt.hpp"
#include "tests/cuda/devices.hpp"
#include "tests/gpu/devices.hpp"

namespace gpunn::tests {

void register_devices() {
  gpunn::register_devices();
}

std::string device_under_test() {
  return "sim";
}

std::optional<std::uint64_t> graph_launches() {
  return simt::calls("cudaGraphLaunch");
}

std::string last_complaint() {
  return simt::last_report();
}

}  // namespace gpunn::tests
