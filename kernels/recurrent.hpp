// SimpleRNN, GRU (reset after) and LSTM over whole sequences in one launch. recurrent_steps.hpp goes one step
// at a time, for any size, cell and activation.
//
// The input's share of all gates for all steps is one product before the loop, the weights' gradients are
// products after it; these kernels are what lies between: the chain of steps.
//
// Whole sequences (units <= 128): a block per row of the batch. A thread owns one unit and a quarter of its
// sum, and holds its weights in registers (beyond 64 units half of them; the other half stays in the
// first-level cache). One barrier per step. 2 * rows * steps * gates * units^2 FLOPs; reads the gates' inputs
// once, writes y and what backward needs once.
#pragma once

#include "kernels/dropout.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

enum class RecurrentCell : std::uint8_t { gru, lstm, simple, gru_reset_before };
constexpr int recurrent_gates(RecurrentCell cell) {
  return cell == RecurrentCell::simple ? 1 : cell == RecurrentCell::lstm ? 4 : 3;
}

struct RecurrentShape {
  RecurrentCell cell = RecurrentCell::gru;
  std::int64_t rows = 0;
  std::int64_t steps = 0;
  std::int64_t units = 0;
  bool reversed = false;  // x and mask are read from the last step to the first; y is not turned back
};

inline constexpr std::int64_t kMostSequenceUnits = 128;

// Gates in Keras's order: z r g, or i f g o. Null where a thing is absent.
struct RecurrentForward {
  const float* x_gates = nullptr;         // [rows, steps, gates * units]: x W + b
  const float* recurrent = nullptr;       // [units, gates * units]
  const float* recurrent_bias = nullptr;  // [gates * units], GRU only
  const float* h0 = nullptr;              // [rows, units]
  const float* c0 = nullptr;              // [rows, units], LSTM
  const std::uint8_t* mask = nullptr;     // [rows, steps], 0: the step is skipped, state and output stay
  float* y = nullptr;                     // [rows, steps, units], or null
  // For backward: [rows, steps, 4, units]: z r g (h Ug + cg), or i f g o; of a SimpleRNN nothing.
  float* kept = nullptr;
  float* cells = nullptr;   // [rows, steps, units] for backward, LSTM: c
  float* h_last = nullptr;  // [rows, units]
  float* c_last = nullptr;  // [rows, units], LSTM
};

struct RecurrentBackward {
  const float* recurrent = nullptr;
  const float* h0 = nullptr;
  const float* c0 = nullptr;
  const std::uint8_t* mask = nullptr;
  const float* y = nullptr;  // as forward left them
  const float* kept = nullptr;
  const float* cells = nullptr;
  const float* dy = nullptr;       // [rows, steps, units]
  const float* dh_last = nullptr;  // [rows, units]
  const float* dc_last = nullptr;  // [rows, units]
  float* dx_gates = nullptr;       // [rows, steps, gates * units]: of x_gates; 0 at masked steps
  float* ds_gates = nullptr;  // the same of the state's share, in the order of y; needed for a GRU's weights
  float* h_before = nullptr;  // [rows, steps, units]: h before each step, for the product that makes dU
  float* dh0 = nullptr;       // [rows, units]
  float* dc0 = nullptr;       // [rows, units]
  Accumulate dh0_mode = Accumulate::overwrite, dc0_mode = Accumulate::overwrite;
  // With `in`: set to 0, for the product of the weights' gradients, which comes next and counts with them.
  std::uint32_t* counters = nullptr;
  std::int64_t counter_count = 0;
};

// The input's product inside the same launch, where both matrices fit in registers: no sums of gates in
// memory, no launch of their own for the product and for dropout. It costs each step the input's
// multiply-adds again, so only while a batch does not fill a device.
struct RecurrentInput {
  std::int64_t width = 0;             // features of a step
  const float* x = nullptr;           // [rows, steps, width], or with `ids` a table [vocabulary, width]
  const std::int32_t* ids = nullptr;  // [rows, steps]: x are these rows of the table, NaN where there is none
  std::int64_t vocabulary = 0;
  const float* kernel = nullptr;  // [width, gates * units]
  const float* bias = nullptr;    // [gates * units]
  const float* mask = nullptr;    // [rows, width], multiplied to x at every step
  // Forward: the mask is drawn here, the same as by dropout() of ones, and left in `drawn` for backward.
  float* drawn = nullptr;  // [rows, width]
  DropoutAttributes dropout;
  const StepState* state = nullptr;
  float* dx = nullptr;  // backward: [rows, steps, width]
  Accumulate dx_mode = Accumulate::overwrite;
};
inline constexpr std::int64_t kMostProjected = 64, kMostProjectedRows = 256;
constexpr bool takes_input(const RecurrentShape& shape, std::int64_t width) {
  return shape.cell != RecurrentCell::gru_reset_before && shape.rows <= kMostProjectedRows && width > 0 &&
         width <= kMostProjected && shape.units <= kMostProjected;
}

// With tanh and sigmoid. REQUIRES: 0 < units <= kMostSequenceUnits; not gru_reset_before; with `in`,
// takes_input(): then f.x_gates is not used, but b.dx_gates is still written.
void recurrent_forward(Gpu gpu, const RecurrentShape& shape, const RecurrentForward& f,
                       const RecurrentInput* in = nullptr);
void recurrent_backward(Gpu gpu, const RecurrentShape& shape, const RecurrentBackward& b,
                        const RecurrentInput* in = nullptr);

// Gradients of both matrices and of the bias by one product of two groups, in one launch, from what backward
// left:
//   dkernel = (x * mask)^T dx_gates   drecurrent = h_before^T ds_gates   and the sums over their rows
struct RecurrentWeightGradients {
  const float* dx_gates = nullptr;
  const float* ds_gates = nullptr;  // may be dx_gates
  const float* h_before = nullptr;
  float* dkernel = nullptr;
  float* drecurrent = nullptr;
  float* dbias = nullptr;  // [gates * units] or, GRU, [2, gates * units]; null: none
  Accumulate kernel_mode = Accumulate::overwrite, recurrent_mode = Accumulate::overwrite,
             bias_mode = Accumulate::overwrite;
};
std::int64_t recurrent_weights_scratch_floats(const RecurrentShape& shape, std::int64_t width);
std::int64_t recurrent_weights_counters(const RecurrentShape& shape, std::int64_t width);
// REQUIRES: `counters` are 0, by RecurrentBackward::counters; afterwards they are not.
void recurrent_weight_gradients(Gpu gpu, const RecurrentShape& shape, const RecurrentInput& in,
                                const RecurrentWeightGradients& w, float* scratch, std::uint32_t* counters);

}  // namespace gpunn::kernels
