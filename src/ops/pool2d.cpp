#include "src/ops/pool2d.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Size2d positions(const OpCall& call, Size2d input, const Pool2dAttrs& attrs) {
  const Padding2d& padding = attrs.padding;
  expects(padding.top < attrs.window.height && padding.bottom < attrs.window.height &&
              padding.left < attrs.window.width && padding.right < attrs.window.width,
          call, "a window could see only padding");
  return window_positions(call, input, {attrs.window, attrs.strides, padding, {}});
}

Shape pooled(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() == 4, call,
          "takes f32 [batch, height, width, channels]");
  const Shape& x = call.inputs[0].shape;
  const Size2d y = positions(call, {x[1], x[2]}, call.attrs_as<Pool2dAttrs>());
  return {x[0], y.height, y.width, x[3]};
}

Specs infer_max(const OpCall& call) {
  const Shape y = pooled(call);
  return {{y}, {y, Dtype::i32}};
}

Specs infer_average(const OpCall& call) {
  return {{pooled(call)}};
}

Specs backward_specs(const OpCall& call, const Pool2dBackwardAttrs& attrs) {
  expects(!call.inputs.empty() && is_f32(call, 0) && call.inputs[0].shape.rank() == 4, call,
          "dy must be f32 [batch, height, width, channels]");
  const Shape& dy = call.inputs[0].shape;
  const Size2d made = positions(call, attrs.input, attrs.pool);
  expects(made == Size2d{dy[1], dy[2]}, call, "dy is not of the shape that x makes");
  return {{Shape{dy[0], attrs.input.height, attrs.input.width, dy[3]}}};
}

Specs infer_backward(const OpCall& call) {
  return backward_specs(call, call.attrs_as<Pool2dBackwardAttrs>());
}

Specs infer_max_backward_slope(const OpCall& call) {
  expects(call.inputs.size() == 3 && call.inputs[1] == Spec{call.inputs[0].shape, Dtype::i32} &&
              call.inputs[2] == call.inputs[0],
          call, "takes dy, argmax i32 alike and y alike");
  return backward_specs(call, call.attrs_as<Pool2dBackwardSlopeAttrs>().backward);
}

Specs infer_max_backward(const OpCall& call) {
  expects(call.inputs.size() == 2 && call.inputs[1] == Spec{call.inputs[0].shape, Dtype::i32}, call,
          "takes dy and argmax i32 alike");
  return infer_backward(call);
}

Pool2dBackwardAttrs backward_attrs(const Graph& graph, const Node& node) {
  const Shape& x = graph.spec(node.inputs[0]).shape;
  return {std::any_cast<const Pool2dAttrs&>(node.attrs), {x[1], x[2]}};
}

ValueIds gradient_max(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("max_pool2d_backward", {dy[0], node.outputs[1]}, backward_attrs(graph, node))};
}

ValueIds gradient_average(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("average_pool2d_backward", {dy[0]}, backward_attrs(graph, node))};
}

double window_elements(const Pool2dAttrs& attrs) {
  return static_cast<double>(attrs.window.height * attrs.window.width);
}
Cost cost(const OpCall& call) {
  return arithmetic(call, window_elements(call.attrs_as<Pool2dAttrs>()) *
                              static_cast<double>(call.outputs[0].shape.elements()));
}
Cost cost_average_backward(const OpCall& call) {
  return arithmetic(call, window_elements(call.attrs_as<Pool2dBackwardAttrs>().pool) *
                              static_cast<double>(call.inputs[0].shape.elements()));
}

}  // namespace

void define_pool2d(Registry& registry) {
  registry.add({.name = "max_pool2d",
                .outputs = {Rows::each, Rows::each},
                .infer = infer_max,
                .gradient = gradient_max,
                .cost = cost});
  registry.add({.name = "max_pool2d_backward",
                .outputs = {Rows::each},
                .infer = infer_max_backward,
                .cost = per_input_element<1>,
                .accumulates = 1});
  registry.add_fused({.name = "max_pool2d_backward_slope",
                      .outputs = {Rows::each},
                      .infer = infer_max_backward_slope,
                      .cost = per_input_element<2>,
                      .accumulates = 1});
  registry.add({.name = "average_pool2d",
                .outputs = {Rows::each},
                .infer = infer_average,
                .gradient = gradient_average,
                .cost = cost});
  registry.add({.name = "average_pool2d_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = cost_average_backward,
                .accumulates = 1});
}

}  // namespace gpunn::ops
