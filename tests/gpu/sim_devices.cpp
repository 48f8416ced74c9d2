#include "tests/cuda/devices.hpp"

namespace gpunn::tests {

void register_devices() {
  gpunn::register_devices();
}

}  // namespace gpunn::tests
