// Recurrent layers one time step at a time, between products of matrices: for any size, cell, activations and
// dropout of the state. A step forward is
//   s = operand U + bias (one product or, `split`, one for each gate),  recurrent_step_forward
// and back, from the last step to the first,
//   recurrent_step_backward,  products = ds U^T (one or, split, one for each gate)
// A GRU that resets before the product is always split: its candidate's product waits for the reset gate.
//   forward:   s of z and r, recurrent_step_reset, s of g = reset * Ug, recurrent_step_forward
//   backward:  recurrent_step_backward, products[2] = ds[2] Ug^T, recurrent_step_reset_backward, the other
//   two
// Each kernel reads and writes a few numbers for each row and unit: memory-bound, one launch.
#pragma once

#include "kernels/activation.hpp"
#include "kernels/recurrent.hpp"

namespace gpunn::kernels {

struct RecurrentSteps {
  RecurrentShape shape;
  Activation activation = Activation::tanh;
  Activation recurrent_activation = Activation::sigmoid;
  // Sums of gates lie side by side, [.., gates, units], or split: each gate a matrix of its own, [gates, ..,
  // units].
  bool split_x = false, split_s = false;
  int state_masks = 0;                // dropout of the state: none, one for all gates, or one for each
  const float* state_mask = nullptr;  // [rows, state_masks, units]
};
constexpr bool has_default_activations(const RecurrentSteps& s) {
  return s.activation == Activation::tanh &&
         (s.shape.cell == RecurrentCell::simple || s.recurrent_activation == Activation::sigmoid);
}

// What lives from one step to the next.
struct RecurrentState {
  float* h = nullptr;        // [rows, units]
  float* c = nullptr;        // [rows, units], LSTM
  float* operand = nullptr;  // [state_masks, rows, units]: h times the masks; null without masks: h itself
  float* s = nullptr;        // [rows, gates * units], or split [gates, rows, units]: the products, with bias
  float* reset = nullptr;    // [rows, units], reset before: r * h, times the mask of its gate
};
// h, c and operand from h0 and c0, or 0.
void recurrent_steps_begin(Gpu gpu, const RecurrentSteps& steps, const float* h0, const float* c0,
                           const RecurrentState& state);
// `kept` of f: 4 numbers per unit (1 of a SimpleRNN with another activation than tanh, else 0; 3 when reset
// before); with other activations than tanh and sigmoid not their values but what they are applied to.
void recurrent_step_forward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                            const RecurrentForward& f, const RecurrentState& state);
void recurrent_step_reset(Gpu gpu, const RecurrentSteps& steps, std::int64_t step, const RecurrentForward& f,
                          const RecurrentState& state);

struct RecurrentFlow {
  float* dh = nullptr;        // [rows, units]: of the state behind the step, without the products' share
  float* dc = nullptr;        // [rows, units], LSTM
  float* products = nullptr;  // [1 or, split, gates, rows, units]: ds U^T of the step behind
  float* ds = nullptr;        // laid out as RecurrentState::s
};
// Step `step` back. The first one called, steps - 1, takes dh and dc from b.dh_last and b.dc_last.
void recurrent_step_backward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                             const RecurrentBackward& b, const RecurrentFlow& flow);
void recurrent_step_reset_backward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                                   const RecurrentBackward& b, const RecurrentFlow& flow);
// After the first step's products: writes b.dh0 and b.dc0, where wanted.
void recurrent_steps_end(Gpu gpu, const RecurrentSteps& steps, const RecurrentBackward& b,
                         const RecurrentFlow& flow);

// What meets the weights in the product for their gradient, of all steps: h_before times the masks, [parts,
// rows * steps, units]; with reset before times r in the last of its parts. Parts: 1, or one per gate.
void recurrent_operands(Gpu gpu, const RecurrentSteps& steps, int parts, const float* h_before,
                        const float* kept, float* operands);

// y[k, row, step, :] = x[row, step, :] * mask[row, k, :], for each of the masks.
struct FeatureMasks {
  std::int64_t rows = 0, steps = 0, features = 0;
  int masks = 1;
};
void mask_features(Gpu gpu, const FeatureMasks& shape, const float* mask, const float* x, float* y);
// y[row, step, :] (+)= the sum over k of x[k, row, step, :] * mask[row, k, :]; its gradient.
void mask_features_backward(Gpu gpu, const FeatureMasks& shape, Accumulate mode, const float* mask,
                            const float* x, float* y);

}  // namespace gpunn::kernels
