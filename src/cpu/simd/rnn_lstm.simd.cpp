#include "src/cpu/simd/rnn_backward.hpp"

namespace gpunn::cpu::simd {

const RnnKernels GPUNN_SIMD_NAME(rnn_lstm_table) = kRnnKernels<RnnCell::lstm>;

}  // namespace gpunn::cpu::simd
