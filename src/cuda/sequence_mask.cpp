#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

// No kernel yet: masks belong to recurrent layers, which run on the cpu.
void implement_sequence_mask() {}

}  // namespace gpunn::cuda
