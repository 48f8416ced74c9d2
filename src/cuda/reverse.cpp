#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

// No kernel yet: bidirectional layers run on the cpu.
void implement_reverse() {}

}  // namespace gpunn::cuda
