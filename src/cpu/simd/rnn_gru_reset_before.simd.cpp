#include "src/cpu/simd/rnn_backward.hpp"

namespace gpunn::cpu::simd {

const RnnKernels GPUNN_SIMD_NAME(rnn_gru_reset_before_table) = kRnnKernels<RnnCell::gru_reset_before>;

}  // namespace gpunn::cpu::simd
