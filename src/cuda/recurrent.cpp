#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

// The kernels of kernels/recurrent.hpp are not behind the op yet: a model with recurrent layers runs on the
// cpu.
void implement_recurrent() {}

}  // namespace gpunn::cuda
