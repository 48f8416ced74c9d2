// The kernels are in src/cpu/simd/rnn_*: a slice of the batch goes through all steps in one call, with no
// barrier to the other slices.

#include "src/ops/recurrent.hpp"

#include "src/core/text.hpp"
#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

using ops::RecurrentAttrs;

constexpr std::int64_t kLine = 16;  // floats: scratch comes on cache lines, and so do its parts

simd::RnnCell to_simd(ops::RecurrentCell cell) {
  switch (cell) {
    case ops::RecurrentCell::simple:
      return simd::RnnCell::simple;
    case ops::RecurrentCell::gru:
      return simd::RnnCell::gru;
    case ops::RecurrentCell::gru_reset_before:
      return simd::RnnCell::gru_reset_before;
    case ops::RecurrentCell::lstm:
      break;
  }
  return simd::RnnCell::lstm;
}

simd::RnnActivation to_rnn(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::linear:
      return simd::RnnActivation::linear;
    case ops::Activation::relu:
      return simd::RnnActivation::relu;
    case ops::Activation::sigmoid:
      return simd::RnnActivation::sigmoid;
    case ops::Activation::tanh:
      return simd::RnnActivation::tanh;
    case ops::Activation::gelu:
      break;
  }
  return simd::RnnActivation::gelu;
}

// All but the rows, for any of the three ops: weights [input, ..] and [units, ..] begin at input `kernel`.
simd::RnnShape shape_of(const OpCall& call, std::size_t kernel) {
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  return {.cell = to_simd(attrs.cell),
          .input = call.inputs[kernel].shape[0],
          .units = call.inputs[kernel + 1].shape[0],
          .sequences = attrs.sequence,
          .reversed = attrs.reversed,
          .training = attrs.keep,
          .activation = to_rnn(attrs.activation),
          .recurrent_activation = to_rnn(attrs.recurrent_activation)};
}

// How a call of either direction is computed.
struct Sequence {
  simd::RnnShape shape;  // without rows
  const simd::RnnKernels* kernels;
  bool has_bias, has_packed;
  std::size_t packed_floats = 0;  // at the start of the scratch, where nobody packed before

  explicit Sequence(const OpCall& call)
      : shape(shape_of(call, ops::kRecurrentKernel)),
        kernels(&simd::kernels().rnn(shape.cell)),
        has_bias(ops::has(call, ops::kRecurrentBias)),
        has_packed(ops::has(call, ops::kRecurrentPacked)) {
    shape.steps = call.inputs[ops::kRecurrentX].shape[1];
    const auto masks = [&](std::size_t k) {
      return ops::has(call, k) ? static_cast<int>(call.inputs[k].shape[1]) : 0;
    };
    shape.input_masks = masks(ops::kRecurrentInputDropout);
    shape.recurrent_masks = masks(ops::kRecurrentStateDropout);
    if (!has_packed) packed_floats = (kernels->packed_floats(shape) + kLine - 1) / kLine * kLine;
  }

  // Fewer rows may need more: their chunks of time are longer.
  std::size_t scratch_bytes(std::int64_t most_rows) const {
    simd::RnnShape s = shape;
    std::size_t most = 0;
    for (s.rows = 0; s.rows <= most_rows; ++s.rows) most = std::max(most, kernels->scratch_floats(s));
    return (packed_floats + most) * kFloat;
  }

  simd::RnnShape of_slice(const Slice& s) const {
    simd::RnnShape sliced = shape;
    sliced.rows = s.rows;
    return sliced;
  }

  simd::RnnInputs inputs(const Slice& s) const {
    const auto* packed = has_packed ? s.in(ops::kRecurrentPacked) : static_cast<const float*>(s.scratch);
    if (!has_packed) {
      kernels->pack(shape,
                    {s.in(ops::kRecurrentKernel), s.in(ops::kRecurrentWeights),
                     has_bias ? s.in(ops::kRecurrentBias) : nullptr},
                    static_cast<float*>(s.scratch));
    }
    return {.x = s.in(ops::kRecurrentX),
            .packed = packed,
            .h0 = s.in(ops::kRecurrentH0),
            .c0 = s.in(ops::kRecurrentC0),
            .mask = s.in<std::uint8_t>(ops::kRecurrentMask),
            .input_mask = s.in(ops::kRecurrentInputDropout),
            .recurrent_mask = s.in(ops::kRecurrentStateDropout)};
  }

  float* scratch(const Slice& s) const { return static_cast<float*>(s.scratch) + packed_floats; }
};

std::string name_of(const RecurrentAttrs& attrs) {
  return cat("simd ", to_string(attrs.cell), ops::has_default_activations(attrs) ? "" : ", any activation");
}

std::string why_of(const RecurrentAttrs& attrs) {
  if (ops::has_default_activations(attrs)) return "whole sequence, gates in the product's registers";
  return cat("slower: kernels are specialised for tanh and sigmoid, not ", to_string(attrs.activation),
             " and ", to_string(attrs.recurrent_activation));
}

Implementation forward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  const Sequence sequence(call);
  const bool lstm = attrs.cell == ops::RecurrentCell::lstm;
  const auto run = [=](const Slice& s) {
    sequence.kernels->forward(sequence.of_slice(s), {.in = sequence.inputs(s),
                                                     .y = s.out(ops::kRecurrentOutSequence),
                                                     .h_last = s.out(ops::kRecurrentOutH),
                                                     .c_last = lstm ? s.out(ops::kRecurrentOutC) : nullptr,
                                                     .state = s.out(ops::kRecurrentOutKept),
                                                     .scratch = sequence.scratch(s)});
  };
  return sliced(name_of(attrs), why_of(attrs), run, sequence.scratch_bytes(target.slice_rows));
}

Implementation backward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  const Sequence sequence(call);
  const bool dx = attrs.input_gradient, dh0 = ops::has(call, ops::kRecurrentH0),
             dc0 = ops::has(call, ops::kRecurrentC0), bias = sequence.has_bias;
  const auto run = [=](const Slice& s) {
    sequence.kernels->backward(sequence.of_slice(s), {.in = sequence.inputs(s),
                                                      .y = s.in(ops::kRecurrentSequence),
                                                      .state = s.in(ops::kRecurrentKept),
                                                      .dy = s.in(ops::kRecurrentDsequence),
                                                      .dh_last = s.in(ops::kRecurrentDh),
                                                      .dc_last = s.in(ops::kRecurrentDc),
                                                      .dx = dx ? s.out(0) : nullptr,
                                                      .dkernel = s.out(3),
                                                      .drecurrent = s.out(4),
                                                      .dbias = bias ? s.out(5) : nullptr,
                                                      .dh0 = dh0 ? s.out(1) : nullptr,
                                                      .dc0 = dc0 ? s.out(2) : nullptr,
                                                      .dx_add = s.add(0),
                                                      .dkernel_add = s.add(3),
                                                      .drecurrent_add = s.add(4),
                                                      .dbias_add = s.add(5),
                                                      .dh0_add = s.add(1),
                                                      .dc0_add = s.add(2),
                                                      .scratch = sequence.scratch(s)});
  };
  return sliced(name_of(attrs), why_of(attrs), run, sequence.scratch_bytes(target.slice_rows));
}

Implementation pack(const OpCall& call, const Target&) {
  const simd::RnnShape shape = shape_of(call, 0);
  const bool bias = ops::has(call, 2);
  return whole("simd pack", "once per step, not per slice", 1, [=](const Slice& s) {
    simd::kernels().rnn(shape.cell).pack(shape, {s.in(0), s.in(1), bias ? s.in(2) : nullptr}, s.out(0));
  });
}

}  // namespace

void implement_recurrent(Registry& registry) {
  registry.add("recurrent", forward);
  registry.add("recurrent_pack", pack);
  registry.add("recurrent_backward", backward);
}

}  // namespace gpunn::cpu
