// Weights of a recurrent layer between our flat layout and a library's own, which keeps each gate as two
// matrices of rows (outputs) and perhaps two biases, wherever it likes.
#pragma once

#include <array>

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

// Where the library keeps gate g of ours, in floats from the start of its space. A bias at kNoWeights: none.
struct RnnWeights {
  static constexpr std::int64_t kNoWeights = -1;
  std::int64_t input = 0, units = 0;
  int gates = 1;
  std::array<std::int64_t, 4> kernel{}, recurrent{};  // [units, input] and [units, units]
  std::array<std::int64_t, 4> bias{kNoWeights, kNoWeights, kNoWeights, kNoWeights}, recurrent_bias = bias;
};

// Ours: kernel [input, gates * units], recurrent [units, gates * units], bias [gates * units], or two of it
// where there is a recurrent bias. One launch, memory-bound: reads and writes each weight once.
void pack_rnn_weights(Gpu gpu, const RnnWeights& layout, const float* kernel, const float* recurrent,
                      const float* bias, float* space);

struct RnnGradients {
  float* kernel = nullptr;
  float* recurrent = nullptr;
  float* bias = nullptr;
  Accumulate kernel_mode = Accumulate::overwrite, recurrent_mode = Accumulate::overwrite,
             bias_mode = Accumulate::overwrite;
};
// The way back, likewise one launch.
void unpack_rnn_gradients(Gpu gpu, const RnnWeights& layout, const float* space, const RnnGradients& to);

}  // namespace gpunn::kernels
