#include "src/ops/softmax.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() >= 1, call,
          "takes one f32 input [..., classes]");
  return {call.inputs[0]};
}

Specs infer_backward(const OpCall& call) {
  expects(call.inputs.size() == 2 && is_f32(call, 0) && call.inputs[0] == call.inputs[1], call,
          "takes y and dy, f32 and alike");
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("softmax_backward", {node.outputs[0], dy[0]})};
}

}  // namespace

void define_softmax(Registry& registry) {
  registry.add({.name = "softmax",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<12>});  // the exponential is a polynomial
  registry.add({.name = "softmax_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_output_element<4>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
