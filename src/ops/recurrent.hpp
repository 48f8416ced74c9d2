// recurrent:           x [batch, steps, input], and the inputs of RecurrentInput up to kPacked
//                        -> sequence [batch, steps, units] or, unless asked for, [batch, 0]
//                           h [batch, units], after the last step
//                           c [batch, units], likewise; [batch, 0] for cells without it
//                           kept [batch, steps, ...], what backward needs; [batch, 0] unless asked for
//                           mask [batch, 1, input], the dropout of x, where `draws`; else [batch, 0]
//                      (rows each)
// The table among the inputs, and `draws`, are a pass's doing, where the device looks rows up and draws masks
// in the launch of the steps.
// recurrent_pack:      kernel, recurrent, bias? -> packed [n]: the weights in the order in which the device
//                      reads them (rows all); made once per step by a pass, where the device has it
// recurrent_backward:  all inputs of RecurrentInput
//                        -> dx [batch, steps, input], or [batch, 0] unless wanted
//                           dh0, dc0 [batch, units], or [batch, 0] where they were not given  (rows each)
//                           dkernel, drecurrent, dbias ([0] without bias)                     (rows sum)
//                      (all of them accumulate)
//
// All attributes are RecurrentAttrs. The formulas are in src/cpu/simd/rnn_sequence.hpp; weights have Keras's
// layouts: kernel [input, gates * units], recurrent [units, gates * units], bias [gates * units], for GRU
// with reset after [2, gates * units]; gates z r g (GRU), i f g o (LSTM).
//
// A masked step changes nothing: its output is the state before it. With `reversed` the steps are read from
// the last to the first, and the sequence is in the order in which it was made.
//
// BYTES THAT A TRAINING STEP KEEPS per row of the batch and time step, besides x itself: 4 units of the
// sequence, and in `kept`, with units rounded up to 16,
//   GRU         16 units   z, r, g and the state's share of the candidate, which the gradient of r needs
//   GRU reset before  12   z, r, g
//   LSTM        20         i, f, g, o, c (its activation is computed again)
//   SimpleRNN    0         h is the sequence; 4 if the activation is not tanh
// and 4 more where the sequence is not an output, for h. What `kept` holds is the device's own affair.
// A library's way may need more of it (src/graph/passes/reserve_recurrent.cpp).
#pragma once

#include <cstdint>

#include <string_view>

#include "gpunn/graph.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/dropout.hpp"

namespace gpunn::ops {

enum class RecurrentCell : std::uint8_t { simple, gru, gru_reset_before, lstm };

// Of both ops; a ? may be absent. The dropout masks are multiplied to x and to h where they meet the weights:
// one for all gates, or one for each.
enum RecurrentInput : std::size_t {
  kRecurrentX,             // [batch, steps, input]
  kRecurrentKernel,        // [input, gates * units]
  kRecurrentWeights,       // [units, gates * units]
  kRecurrentBias,          // ?
  kRecurrentMask,          // ? u8 [batch, steps], 0: skip the step
  kRecurrentH0,            // ? [batch, units]
  kRecurrentC0,            // ? [batch, units], LSTM
  kRecurrentInputDropout,  // ? [batch, 1 or gates, input]
  kRecurrentStateDropout,  // ? [batch, 1 or gates, units]
  kRecurrentPacked,        // ? from recurrent_pack
  kRecurrentTable,         // ? [vocabulary, input]: then x is i32 ids [batch, steps], which name its rows
  kRecurrentForwardInputs,
  kRecurrentSequence = kRecurrentForwardInputs,  // ? as forward made it
  kRecurrentKept,                                // as forward made it
  kRecurrentDsequence,                           // ? gradients of the outputs
  kRecurrentDh,                                  // ?
  kRecurrentDc,                                  // ?
  kRecurrentBackwardInputs
};

enum RecurrentOutput : std::size_t {
  kRecurrentOutSequence,
  kRecurrentOutH,
  kRecurrentOutC,
  kRecurrentOutKept,
  kRecurrentOutMask
};

struct RecurrentAttrs {
  RecurrentCell cell = RecurrentCell::gru;
  Activation activation = Activation::tanh;
  Activation recurrent_activation = Activation::sigmoid;
  bool sequence = false;
  bool reversed = false;
  bool keep = false;           // in training: for backward
  bool input_gradient = true;  // of recurrent_backward: dx is wanted
  bool draws = false;          // forward makes the input's dropout mask itself, as dropout_mask would
  DropoutAttrs dropout = {};
};

std::string_view to_string(RecurrentCell cell);  // "gru"
constexpr std::int64_t recurrent_gates(RecurrentCell cell) {
  return cell == RecurrentCell::simple ? 1 : cell == RecurrentCell::lstm ? 4 : 3;
}
constexpr std::int64_t recurrent_biases(RecurrentCell cell) {
  return cell == RecurrentCell::gru ? 2 : 1;
}
// tanh with sigmoid gates have kernels of their own; any other pair takes a slower path, which the plan
// names.
constexpr bool has_default_activations(const RecurrentAttrs& attrs) {
  return attrs.activation == Activation::tanh &&
         (attrs.cell == RecurrentCell::simple || attrs.recurrent_activation == Activation::sigmoid);
}
// [batch, steps, input], of x or of the rows that ids name.
GPUNN_API Shape recurrent_input_shape(const OpCall& call);
// Floats of `kept` for one row and step, a multiple of 16.
std::int64_t recurrent_kept_floats(const RecurrentAttrs& attrs, std::int64_t units);

}  // namespace gpunn::ops
