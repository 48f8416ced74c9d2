#include "src/cpu/simd/rnn_backward.hpp"

namespace gpunn::cpu::simd {

const RnnKernels GPUNN_SIMD_NAME(rnn_gru_table) = kRnnKernels<RnnCell::gru>;

}  // namespace gpunn::cpu::simd
