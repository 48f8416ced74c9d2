// Recurrent layers over whole sequences: one slice of the batch, all time steps, one call.
//
//   GRU, reset after   z = s(x Wz + bz + h Uz + cz)   r = s(x Wr + br + h Ur + cr)
//                      g = a(x Wg + bg + r * (h Ug + cg))        h' = z * h + (1 - z) * g
//   GRU, reset before  g = a(x Wg + bg + (r * h) Ug)             the rest alike, without the second bias c
//   LSTM               i, f, o = s(x W + b + h U)   g = a(...)   c' = f * c + i * g   h' = o * a(c')
//   SimpleRNN          h' = a(x W + b + h U)
//
// Weights have Keras's layouts: kernel [input, gates * units], recurrent [units, gates * units], gates in the
// order z r g (GRU) or i f g o (LSTM); bias [gates * units], for GRU reset after [2, gates * units] (input,
// then recurrent).
//
// A row's results do not depend on the other rows of its slice, nor on how many there are: forward values,
// dx, dh0, dc0 are the same bits in any slice. The weights' gradients are sums over the slice in a fixed
// order.
//
// WHAT IS KEPT FOR BACKWARD, per row and time step, in floats, with units rounded up to whole vectors:
//   GRU reset after   4 units: z, r, g, and h Ug + cg, which the gradient of r needs and which cannot be had
//   from the rest GRU reset before  3 units: z, r, g LSTM              5 units: i, f, g, o, c (a(c) is
//   computed again) SimpleRNN         none
// and h: `units` floats, which are the layer's output y when it returns sequences, and part of the state when
// it does not. The input is not copied: backward reads x.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

enum class RnnCell : std::uint8_t { simple, gru, gru_reset_before, lstm };

// tanh for candidates with sigmoid for gates, every cell's default, have code of their own. Any other pair
// takes a slower path of the same arithmetic, which keeps what the activations are applied to instead of
// their values.
enum class RnnActivation : std::uint8_t {
  linear,
  tanh,
  sigmoid,
  relu,
  gelu,  // exact: x Phi(x)
  silu,
  hard_sigmoid,
  elu,
  selu,
  softplus,
  softsign,
  exponential
};
inline constexpr int kRnnActivations = 12;

struct RnnShape {
  RnnCell cell = RnnCell::gru;
  std::int64_t rows = 0;  // of this slice
  std::int64_t steps = 0;
  std::int64_t input = 0;  // features per step
  std::int64_t units = 0;
  bool sequences = true;  // y holds all steps; else h is kept in the state, and y is not used
  bool reversed = false;  // Keras's go_backwards: x and mask are read from the last step to the first; y, dy
                          // are not turned back
  bool training = true;   // the state is kept for backward; else it is not touched and may be null
  RnnActivation activation = RnnActivation::tanh;
  RnnActivation recurrent_activation = RnnActivation::sigmoid;
  // How many dropout masks each row has for its input and for its state: none, one shared by the gates (Keras
  // without recurrent dropout), or one per gate (Keras as soon as there is recurrent dropout; SimpleRNN has
  // one gate).
  int input_masks = 0;
  int recurrent_masks = 0;
};

constexpr bool rnn_has_default_activations(const RnnShape& s) {
  return s.activation == RnnActivation::tanh &&
         (s.cell == RnnCell::simple || s.recurrent_activation == RnnActivation::sigmoid);
}

constexpr int rnn_gates(RnnCell cell) {
  return cell == RnnCell::simple ? 1 : cell == RnnCell::lstm ? 4 : 3;
}
// Rows of the bias: the GRU with reset after has one for the input and one for the state.
constexpr int rnn_biases(RnnCell cell) {
  return cell == RnnCell::gru ? 2 : 1;
}

struct RnnWeights {
  const float* kernel = nullptr;     // [input, gates * units]
  const float* recurrent = nullptr;  // [units, gates * units]
  const float* bias = nullptr;       // [biases, gates * units], or null
};

// What both directions read. Null where a thing is absent; the masks' counts are in the shape.
struct RnnInputs {
  const float* x = nullptr;            // [rows, steps, input]
  const float* packed = nullptr;       // from pack(), 64-byte aligned
  const float* h0 = nullptr;           // [rows, units], null: zeros
  const float* c0 = nullptr;           // [rows, units], LSTM only, null: zeros
  const std::uint8_t* mask = nullptr;  // [rows, steps], 0: skip the step; state and output stay as they were
  const float* input_mask = nullptr;   // [rows, input_masks, input], multiplied to x at every step
  const float* recurrent_mask =
      nullptr;  // [rows, recurrent_masks, units], multiplied to h where it meets the weights
};

struct RnnForward {
  RnnInputs in;
  float* y = nullptr;        // [rows, steps, units], needed if shape.sequences
  float* h_last = nullptr;   // [rows, units], or null
  float* c_last = nullptr;   // [rows, units], LSTM only, or null
  float* state = nullptr;    // rows * state_floats_per_row, 64-byte aligned; needed if shape.training
  float* scratch = nullptr;  // scratch_floats, 64-byte aligned, of this thread
};

struct RnnBackward {
  RnnInputs in;
  const float* y = nullptr;        // as forward left it, needed if shape.sequences
  const float* state = nullptr;    // as forward left it
  const float* dy = nullptr;       // [rows, steps, units], or null
  const float* dh_last = nullptr;  // [rows, units], or null
  const float* dc_last = nullptr;  // [rows, units], LSTM only, or null
  // Gradients: null where not wanted; *_add adds to what is there instead of overwriting it.
  float* dx = nullptr;
  float* dkernel = nullptr;
  float* drecurrent = nullptr;
  float* dbias = nullptr;
  float* dh0 = nullptr;
  float* dc0 = nullptr;
  bool dx_add = false, dkernel_add = false, drecurrent_add = false, dbias_add = false, dh0_add = false,
       dc0_add = false;
  float* scratch = nullptr;
};

// Sizes are in floats and differ between instruction sets, as vectors do.
struct RnnKernels {
  std::size_t (*packed_floats)(const RnnShape&);                    // does not depend on rows
  std::size_t (*state_floats_per_row)(const RnnShape&);             // does not depend on rows
  std::size_t (*scratch_floats)(const RnnShape&);                   // enough for forward and for backward
  void (*pack)(const RnnShape&, const RnnWeights&, float* packed);  // once per change of the weights
  void (*forward)(const RnnShape&, const RnnForward&);
  void (*backward)(const RnnShape&, const RnnBackward&);
};

GPUNN_SIMD_TABLES(RnnKernels, rnn_simple_table)
GPUNN_SIMD_TABLES(RnnKernels, rnn_gru_table)
GPUNN_SIMD_TABLES(RnnKernels, rnn_gru_reset_before_table)
GPUNN_SIMD_TABLES(RnnKernels, rnn_lstm_table)

}  // namespace gpunn::cpu::simd
