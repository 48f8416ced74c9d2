#include "src/cpu/simd/rnn_backward.hpp"

namespace gpunn::cpu::simd {

const RnnKernels GPUNN_SIMD_NAME(rnn_simple_table) = kRnnKernels<RnnCell::simple>;

}  // namespace gpunn::cpu::simd
