#include "src/ops/activation.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0), call, "takes one f32 input");
  return {call.inputs[0]};
}

Specs infer_backward(const OpCall& call) {
  expects(call.inputs.size() >= 2 && is_f32(call, 1), call, "dy must be f32");
  const std::size_t needed = call.attrs_as<ActivationAttrs>().kind == Activation::gelu ? 2 : 0;
  expects(needed < call.inputs.size() && call.inputs[needed] == call.inputs[1], call,
          needed == 2 ? "the slope of gelu needs x of dy's shape" : "y must have dy's shape");
  return {call.inputs[1]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto& attrs = std::any_cast<const ActivationAttrs&>(node.attrs);
  if (attrs.kind == Activation::linear) return {dy[0]};
  const bool from_x = attrs.kind == Activation::gelu;
  return {graph.emit1("activation_backward",
                      {from_x ? kNoValue : node.outputs[0], dy[0], from_x ? node.inputs[0] : kNoValue},
                      attrs)};
}

}  // namespace

std::string_view to_string(Activation activation) {
  switch (activation) {
    case Activation::linear:
      return "linear";
    case Activation::relu:
      return "relu";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::tanh:
      return "tanh";
    case Activation::gelu:
      return "gelu";
  }
  return "no activation";
}

void define_activation(Registry& registry) {
  registry.add({.name = "activation",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<4>});
  registry.add({.name = "activation_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_output_element<4>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
