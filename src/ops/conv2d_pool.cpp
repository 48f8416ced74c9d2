#include "src/ops/conv2d_pool.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

// Pool windows that the convolution of an image fills.
Size2d pooled_size(const OpCall& call, Size2d image, Size2d kernel, const Padding2d& padding) {
  const Size2d made = window_positions(call, image, {kernel, {}, padding, {}});
  expects(made.height >= 2 && made.width >= 2, call,
          "the convolution's output is smaller than a pool window");
  return {made.height / 2, made.width / 2};
}

Specs infer(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dPoolAttrs>();
  expects(call.inputs.size() >= 2 && is_f32(call, 0) && is_f32(call, 1), call,
          "takes f32 x, W and an optional bias");
  const Shape &x = call.inputs[0].shape, &w = call.inputs[1].shape;
  expects(x.rank() == 4 && w.rank() == 4, call, "x and W must have four axes");
  expects(x[3] == w[2], call, "x must have the channels of W");
  expects(attrs.activation == Activation::linear || attrs.activation == Activation::relu, call,
          "relu or nothing");
  if (has(call, 2))
    expects(is_f32(call, 2) && call.inputs[2].shape == Shape{w[3]}, call, "bias must be f32 [out]");
  const Size2d y = pooled_size(call, {x[1], x[2]}, {w[0], w[1]}, attrs.padding);
  const Shape made{x[0], y.height, y.width, w[3]};
  return {{made}, {made, Dtype::u8}};
}

Specs infer_backward_data(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dPoolBackwardDataAttrs>();
  expects(call.inputs.size() == 3, call, "takes dy, W and winners");
  const Shape &dy = call.inputs[0].shape, &w = call.inputs[1].shape;
  expects(dy.rank() == 4 && w.rank() == 4 && dy[3] == w[3], call, "dy must have the filters of W");
  expects(call.inputs[2] == Spec{dy, Dtype::u8}, call, "winners must be u8 of the shape of dy");
  const Size2d y = pooled_size(call, attrs.input, {w[0], w[1]}, attrs.padding);
  expects(y == Size2d{dy[1], dy[2]}, call, "dy is not of the shape that x and W make");
  return {{Shape{dy[0], attrs.input.height, attrs.input.width, w[2]}}};
}

Specs infer_backward_weights(const OpCall& call) {
  const auto& attrs = call.attrs_as<Conv2dPoolBackwardWeightsAttrs>();
  expects(call.inputs.size() == 3, call, "takes x, dy and winners");
  const Shape &x = call.inputs[0].shape, &dy = call.inputs[1].shape;
  expects(x.rank() == 4 && dy.rank() == 4 && x[0] == dy[0], call, "x and dy must be images of one batch");
  expects(call.inputs[2] == Spec{dy, Dtype::u8}, call, "winners must be u8 of the shape of dy");
  const Size2d y = pooled_size(call, {x[1], x[2]}, attrs.kernel, attrs.padding);
  expects(y == Size2d{dy[1], dy[2]}, call, "dy is not of the shape that x and the kernel make");
  return {{Shape{attrs.kernel.height, attrs.kernel.width, x[3], dy[3]}}, {Shape{attrs.bias ? dy[3] : 0}}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto& attrs = std::any_cast<const Conv2dPoolAttrs&>(node.attrs);
  const bool bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  const Shape x = graph.spec(node.inputs[0]).shape, w = graph.spec(node.inputs[1]).shape;
  const ValueId dx = graph.emit1("conv2d_pool_backward_data", {dy[0], node.inputs[1], node.outputs[1]},
                                 Conv2dPoolBackwardDataAttrs{attrs.padding, {x[1], x[2]}});
  const ValueIds dweights =
      graph.emit("conv2d_pool_backward_weights", {node.inputs[0], dy[0], node.outputs[1]},
                 Conv2dPoolBackwardWeightsAttrs{attrs.padding, {w[0], w[1]}, bias});
  return {dx, dweights[0], bias ? dweights[1] : kNoValue};
}

// Four products a window forward, one (the winner's) backward; `kernel` is the shape of W.
Cost products(const OpCall& call, const Shape& y, const Shape& kernel, double per_window) {
  return arithmetic(call, 2 * per_window * static_cast<double>(y.elements()) *
                              static_cast<double>(kernel[0] * kernel[1] * kernel[2]));
}
Cost cost(const OpCall& call) {
  return products(call, call.outputs[0].shape, call.inputs[1].shape, 4);
}
Cost cost_backward_data(const OpCall& call) {
  return products(call, call.inputs[0].shape, call.inputs[1].shape, 1);
}
Cost cost_backward_weights(const OpCall& call) {
  return products(call, call.inputs[1].shape, call.outputs[0].shape, 1);
}

}  // namespace

void define_conv2d_pool(Registry& registry) {
  registry.add({.name = "conv2d_pool",
                .outputs = {Rows::each, Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = cost});
  registry.add({.name = "conv2d_pool_backward_data",
                .outputs = {Rows::each},
                .infer = infer_backward_data,
                .cost = cost_backward_data,
                .accumulates = 1});
  registry.add({.name = "conv2d_pool_backward_weights",
                .outputs = {Rows::sum, Rows::sum},
                .infer = infer_backward_weights,
                .cost = cost_backward_weights,
                .accumulates = 3});
}

}  // namespace gpunn::ops
