#include "src/ops/recurrent.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

constexpr std::int64_t kWidestVector = 16;  // floats: what is kept fits any instruction set

std::int64_t whole_vectors(std::int64_t floats) {
  return (floats + kWidestVector - 1) / kWidestVector * kWidestVector;
}

std::int64_t units_of(const OpCall& call, std::size_t recurrent = kRecurrentWeights) {
  return call.inputs[recurrent].shape[0];
}

void expect_weights(const OpCall& call, const RecurrentAttrs& attrs, std::size_t kernel) {
  const std::int64_t gates = recurrent_gates(attrs.cell);
  const Spec &w = call.inputs[kernel], &u = call.inputs[kernel + 1];
  expects(u.dtype == Dtype::f32 && u.shape.rank() == 2 && u.shape[0] > 0 && u.shape[1] == gates * u.shape[0],
          call, "the recurrent kernel must be f32 [units, gates * units]");
  expects(w.dtype == Dtype::f32 && w.shape.rank() == 2 && w.shape[1] == u.shape[1], call,
          "the kernel must be f32 [input, gates * units]");
  if (!has(call, kernel + 2)) return;
  const std::int64_t biases = recurrent_biases(attrs.cell);
  const Shape bias = biases == 2 ? Shape{biases, u.shape[1]} : Shape{u.shape[1]};
  expects(call.inputs[kernel + 2] == Spec{bias}, call,
          biases == 2 ? "the bias must be f32 [2, gates * units]" : "the bias must be f32 [gates * units]");
}

void expect_dropout(const OpCall& call, std::size_t k, std::int64_t batch, std::int64_t gates,
                    std::int64_t features) {
  if (!has(call, k)) return;
  const Spec& mask = call.inputs[k];
  expects(mask == Spec{Shape{batch, 1, features}} || mask == Spec{Shape{batch, gates, features}}, call,
          "a dropout mask must be f32 [batch, 1 or gates, features]");
}

void expect_forward_inputs(const OpCall& call, const RecurrentAttrs& attrs) {
  expects(call.inputs.size() >= kRecurrentForwardInputs, call, "takes x, weights and optional inputs");
  const Spec& from = call.inputs[kRecurrentX];
  if (has(call, kRecurrentTable)) {
    const Spec& table = call.inputs[kRecurrentTable];
    expects(from.dtype == Dtype::i32 && from.shape.rank() == 2, call, "ids must be i32 [batch, steps]");
    expects(table.dtype == Dtype::f32 && table.shape.rank() == 2, call,
            "the table must be f32 [vocabulary, input]");
  } else {
    expects(from.dtype == Dtype::f32 && from.shape.rank() == 3, call, "x must be f32 [batch, steps, input]");
  }
  const Shape x = recurrent_input_shape(call);
  expect_weights(call, attrs, kRecurrentKernel);
  expects(call.inputs[kRecurrentKernel].shape[0] == x[2], call,
          "the kernel must have a row for each feature of x");
  const Spec state{Shape{x[0], units_of(call)}};
  if (has(call, kRecurrentMask)) {
    expects(call.inputs[kRecurrentMask] == Spec{Shape{x[0], x[1]}, Dtype::u8}, call,
            "the mask must be u8 [batch, steps]");
  }
  for (const std::size_t k : {kRecurrentH0, kRecurrentC0}) {
    if (has(call, k)) expects(call.inputs[k] == state, call, "an initial state must be f32 [batch, units]");
  }
  expects(attrs.cell == RecurrentCell::lstm || !has(call, kRecurrentC0), call, "only an LSTM has c");
  const std::int64_t gates = recurrent_gates(attrs.cell);
  expect_dropout(call, kRecurrentInputDropout, x[0], gates, x[2]);
  expect_dropout(call, kRecurrentStateDropout, x[0], gates, units_of(call));
}

Specs infer(const OpCall& call) {
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  expect_forward_inputs(call, attrs);
  const Shape x = recurrent_input_shape(call);
  const std::int64_t batch = x[0], units = units_of(call);
  const Shape none{batch, 0}, state{batch, units};
  return {{attrs.sequence ? Shape{batch, x[1], units} : none},
          {state},
          {attrs.cell == RecurrentCell::lstm ? state : none},
          {attrs.keep ? Shape{batch, x[1], recurrent_kept_floats(attrs, units)} : none},
          {attrs.draws ? Shape{batch, 1, x[2]} : none}};
}

// Enough for the packed form of every instruction set: both matrices, both transposed, and the biases, with
// units and inputs rounded up to whole vectors, each on a cache line.
Specs infer_pack(const OpCall& call) {
  expects(call.inputs.size() >= 3, call, "takes the kernel, the recurrent kernel and an optional bias");
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  expect_weights(call, attrs, 0);
  const std::int64_t input = whole_vectors(call.inputs[0].shape[0]), units = whole_vectors(units_of(call, 1));
  const std::int64_t gates = recurrent_gates(attrs.cell);
  return {{Shape{2 * gates * units * (input + units) + (gates + 1) * units}}};
}

Specs infer_backward(const OpCall& call) {
  const auto& attrs = call.attrs_as<RecurrentAttrs>();
  expects(call.inputs.size() == kRecurrentBackwardInputs, call,
          "takes what forward takes, what it made, and the gradients");
  expect_forward_inputs(call, attrs);
  const Shape x = recurrent_input_shape(call);
  const Shape none{x[0], 0}, state{x[0], units_of(call)};
  const Spec sequence{Shape{x[0], x[1], units_of(call)}};
  expects(has(call, kRecurrentSequence) == attrs.sequence, call,
          "the sequence must be given if there is one");
  for (const std::size_t k : {kRecurrentSequence, kRecurrentDsequence}) {
    if (has(call, k))
      expects(call.inputs[k] == sequence, call, "sequences must be f32 [batch, steps, units]");
  }
  for (const std::size_t k : {kRecurrentDh, kRecurrentDc}) {
    if (has(call, k))
      expects(call.inputs[k] == Spec{state}, call, "a state's gradient must be [batch, units]");
  }
  const bool bias = has(call, kRecurrentBias);
  return {{attrs.input_gradient ? x : none},        {has(call, kRecurrentH0) ? state : none},
          {has(call, kRecurrentC0) ? state : none}, call.inputs[kRecurrentKernel],
          call.inputs[kRecurrentWeights],           {bias ? call.inputs[kRecurrentBias].shape : Shape{0}}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  auto attrs = std::any_cast<const RecurrentAttrs&>(node.attrs);
  if (!attrs.keep) {
    throw UsageError("recurrent: no gradient flows through a call that keeps nothing", node.where);
  }
  attrs.input_gradient = graph.value(node.inputs[kRecurrentX]).place.store != Store::input;
  ValueIds inputs = node.inputs;
  inputs.insert(inputs.end(),
                {attrs.sequence ? node.outputs[kRecurrentOutSequence] : kNoValue,
                 node.outputs[kRecurrentOutKept], attrs.sequence ? dy[kRecurrentOutSequence] : kNoValue,
                 dy[kRecurrentOutH], attrs.cell == RecurrentCell::lstm ? dy[kRecurrentOutC] : kNoValue});
  const ValueIds made = graph.emit("recurrent_backward", std::move(inputs), attrs);
  ValueIds shares(node.inputs.size(), kNoValue);
  const auto share = [&](std::size_t input, std::size_t output) {
    if (node.inputs[input] != kNoValue) shares[input] = made[output];
  };
  if (attrs.input_gradient) share(kRecurrentX, 0);
  share(kRecurrentH0, 1);
  share(kRecurrentC0, 2);
  share(kRecurrentKernel, 3);
  share(kRecurrentWeights, 4);
  share(kRecurrentBias, 5);
  return shares;
}

// A multiply-add for each row, step and weight; twice that on the way back.
template <int kProducts>
Cost cost(const OpCall& call) {
  const Shape x = recurrent_input_shape(call);
  const std::int64_t weights =
      call.inputs[kRecurrentKernel].shape.elements() + call.inputs[kRecurrentWeights].shape.elements();
  return arithmetic(call, 2.0 * kProducts * static_cast<double>(x[0] * x[1]) * static_cast<double>(weights));
}

}  // namespace

std::string_view to_string(RecurrentCell cell) {
  switch (cell) {
    case RecurrentCell::simple:
      return "simple rnn";
    case RecurrentCell::gru:
      return "gru";
    case RecurrentCell::gru_reset_before:
      return "gru reset before";
    case RecurrentCell::lstm:
      break;
  }
  return "lstm";
}

Shape recurrent_input_shape(const OpCall& call) {
  const Shape& x = call.inputs[kRecurrentX].shape;
  return has(call, kRecurrentTable) ? Shape{x[0], x[1], call.inputs[kRecurrentTable].shape[1]} : x;
}

std::int64_t recurrent_kept_floats(const RecurrentAttrs& attrs, std::int64_t units) {
  std::int64_t slots = 0;
  switch (attrs.cell) {
    case RecurrentCell::simple:
      slots = has_default_activations(attrs) ? 0 : 1;
      break;
    case RecurrentCell::gru:
      slots = 4;
      break;
    case RecurrentCell::gru_reset_before:
      slots = 3;
      break;
    case RecurrentCell::lstm:
      slots = 5;
      break;
  }
  return (slots + (attrs.sequence ? 0 : 1)) * whole_vectors(units);
}

void define_recurrent(Registry& registry) {
  registry.add({.name = "recurrent",
                .outputs = {Rows::each, Rows::each, Rows::each, Rows::each, Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = cost<1>,
                .opaque = 1u << kRecurrentOutKept});
  registry.add({.name = "recurrent_pack", .outputs = {Rows::all}, .infer = infer_pack, .opaque = 1});
  registry.add({.name = "recurrent_backward",
                .outputs = {Rows::each, Rows::each, Rows::each, Rows::sum, Rows::sum, Rows::sum},
                .infer = infer_backward,
                .cost = cost<2>,
                .accumulates = 0b111111});
}

}  // namespace gpunn::ops
