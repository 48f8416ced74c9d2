#include "src/ops/global_pool2d.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Shape pooled(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() == 4, call,
          "takes f32 [batch, height, width, channels]");
  const Shape& x = call.inputs[0].shape;
  expects(x[1] > 0 && x[2] > 0, call, "an image must have at least one element");
  return call.attrs_as<GlobalPool2dAttrs>().keepdims ? Shape{x[0], 1, 1, x[3]} : Shape{x[0], x[3]};
}

Specs infer_max(const OpCall& call) {
  const Shape y = pooled(call);
  return {{y}, {y, Dtype::i32}};
}

Specs infer_average(const OpCall& call) {
  return {{pooled(call)}};
}

Specs infer_backward(const OpCall& call) {
  const Size2d input = call.attrs_as<GlobalPool2dBackwardAttrs>().input;
  expects(!call.inputs.empty() && is_f32(call, 0), call, "dy must be f32");
  const Shape& dy = call.inputs[0].shape;
  expects(dy.rank() == 2 || (dy.rank() == 4 && dy[1] == 1 && dy[2] == 1), call,
          "dy must be [batch, channels] or [batch, 1, 1, channels]");
  return {{Shape{dy[0], input.height, input.width, dy[-1]}}};
}

Specs infer_max_backward(const OpCall& call) {
  expects(call.inputs.size() == 2 && call.inputs[1] == Spec{call.inputs[0].shape, Dtype::i32}, call,
          "takes dy and argmax i32 alike");
  return infer_backward(call);
}

GlobalPool2dBackwardAttrs backward_attrs(const Graph& graph, const Node& node) {
  const Shape& x = graph.spec(node.inputs[0]).shape;
  return {{x[1], x[2]}};
}

ValueIds gradient_max(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("global_max_pool2d_backward", {dy[0], node.outputs[1]}, backward_attrs(graph, node))};
}

ValueIds gradient_average(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("global_average_pool2d_backward", {dy[0]}, backward_attrs(graph, node))};
}

}  // namespace

void define_global_pool2d(Registry& registry) {
  registry.add({.name = "global_max_pool2d",
                .outputs = {Rows::each, Rows::each},
                .infer = infer_max,
                .gradient = gradient_max,
                .cost = per_input_element<1>});
  registry.add({.name = "global_max_pool2d_backward",
                .outputs = {Rows::each},
                .infer = infer_max_backward,
                .cost = per_input_element<1>,
                .accumulates = 1});
  registry.add({.name = "global_average_pool2d",
                .outputs = {Rows::each},
                .infer = infer_average,
                .gradient = gradient_average,
                .cost = per_input_element<1>});
  registry.add({.name = "global_average_pool2d_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_output_element<1>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
