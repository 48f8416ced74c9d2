#include "src/ops/conv2d.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Window2d window_of(const Conv2dAttrs& attrs, Size2d kernel) {
  return {kernel, attrs.strides, attrs.padding, attrs.dilation};
}

void expect_image(const OpCall& call, std::size_t k) {
  expects(is_f32(call, k) && call.inputs[k].shape.rank() == 4, call,
          "images must be f32 [batch, height, width, channels]");
}

void expect_kernel(const OpCall& call, const Conv2dAttrs& attrs) {
  const Shape& kernel = call.inputs[1].shape;
  expects(is_f32(call, 1) && kernel.rank() == 4, call, "W must be f32 [height, width, in / groups, out]");
  expects(attrs.groups >= 1 && kernel[3] % attrs.groups == 0, call,
          "the output channels must divide into the groups");
}

Size2d plane(const Shape& image) {
  return {image[1], image[2]};
}

Specs infer(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dAttrs>();
  expects(call.inputs.size() >= 2, call, "takes x, W and an optional bias");
  expect_image(call, 0);
  expect_kernel(call, attrs);
  const Shape &x = call.inputs[0].shape, &kernel = call.inputs[1].shape;
  expects(x[3] == kernel[2] * attrs.groups, call, "x must have the channels of W times the groups");
  if (has(call, 2)) {
    expects(is_f32(call, 2) && call.inputs[2].shape == Shape{kernel[3]}, call, "bias must be f32 [out]");
  }
  const Size2d y = window_positions(call, plane(x), window_of(attrs, {kernel[0], kernel[1]}));
  return {{Shape{x[0], y.height, y.width, kernel[3]}}};
}

Specs infer_backward_data(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dBackwardDataAttrs>();
  expects(call.inputs.size() >= 2, call, "takes dz, W and optionally x");
  expect_image(call, 0);
  expect_kernel(call, attrs.conv);
  const Shape &dz = call.inputs[0].shape, &kernel = call.inputs[1].shape;
  const Size2d made = window_positions(call, attrs.input, window_of(attrs.conv, {kernel[0], kernel[1]}));
  expects(made == plane(dz) && dz[3] == kernel[3], call, "dz is not of the shape that x and W make");
  const Spec dx{Shape{dz[0], attrs.input.height, attrs.input.width, kernel[2] * attrs.conv.groups}};
  expects(attrs.slope != Activation::gelu, call, "the slope of gelu is not a function of its output");
  expects(attrs.slope == Activation::linear || has(call, 2), call, "a slope needs the activation's output");
  if (has(call, 2)) expects(call.inputs[2] == dx, call, "the activation's output must have the shape of dx");
  return {dx};
}

Specs infer_backward_weights(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dBackwardWeightsAttrs>();
  expects(call.inputs.size() == 2, call, "takes x and dz");
  expect_image(call, 0);
  expect_image(call, 1);
  const Shape &x = call.inputs[0].shape, &dz = call.inputs[1].shape;
  expects(attrs.conv.groups >= 1 && x[3] % attrs.conv.groups == 0 && dz[3] % attrs.conv.groups == 0, call,
          "the channels must divide into the groups");
  const Size2d made = window_positions(call, plane(x), window_of(attrs.conv, attrs.kernel));
  expects(made == plane(dz) && x[0] == dz[0], call, "dz is not of the shape that x and the kernel make");
  return {{Shape{attrs.kernel.height, attrs.kernel.width, x[3] / attrs.conv.groups, dz[3]}},
          {Shape{attrs.bias ? dz[3] : 0}}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto& attrs = std::any_cast<const Conv2dAttrs&>(node.attrs);
  if (attrs.activation == Activation::gelu) {
    throw UsageError("conv2d: no gradient flows through a fused gelu; emit the activation as an op",
                     node.where);
  }
  ValueId dz = dy[0];
  if (attrs.activation != Activation::linear) {
    dz = graph.emit1("activation_backward", {node.outputs[0], dz, kNoValue},
                     ActivationAttrs{attrs.activation});
  }
  const bool bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  Conv2dAttrs conv = attrs;
  conv.activation = Activation::linear;
  const Shape x = graph.spec(node.inputs[0]).shape, kernel = graph.spec(node.inputs[1]).shape;
  const ValueId dx = graph.emit1("conv2d_backward_data", {dz, node.inputs[1], kNoValue},
                                 Conv2dBackwardDataAttrs{.conv = conv, .input = plane(x)});
  const ValueIds dweights =
      graph.emit("conv2d_backward_weights", {node.inputs[0], dz},
                 Conv2dBackwardWeightsAttrs{.conv = conv, .kernel = {kernel[0], kernel[1]}, .bias = bias});
  return {dx, dweights[0], bias ? dweights[1] : kNoValue};
}

// A multiply-add for each element of y, kernel position and channel of a group, padding included.
Cost cost_of(const OpCall& call, const Shape& y, const Shape& kernel) {
  const double products =
      static_cast<double>(y.elements()) * static_cast<double>(kernel[0] * kernel[1] * kernel[2]);
  return arithmetic(call, 2 * products);
}
Cost cost(const OpCall& call) {
  return cost_of(call, call.outputs[0].shape, call.inputs[1].shape);
}
Cost cost_backward_data(const OpCall& call) {
  return cost_of(call, call.inputs[0].shape, call.inputs[1].shape);
}
Cost cost_backward_weights(const OpCall& call) {
  return cost_of(call, call.inputs[1].shape, call.outputs[0].shape);
}

}  // namespace

void define_conv2d(Registry& registry) {
  registry.add(
      {.name = "conv2d", .outputs = {Rows::each}, .infer = infer, .gradient = gradient, .cost = cost});
  registry.add({.name = "conv2d_backward_data",
                .outputs = {Rows::each},
                .infer = infer_backward_data,
                .cost = cost_backward_data,
                .accumulates = 1});
  registry.add({.name = "conv2d_backward_weights",
                .outputs = {Rows::sum, Rows::sum},
                .infer = infer_backward_weights,
                .cost = cost_backward_weights,
                .accumulates = 3});
}

}  // namespace gpunn::ops
