#include "src/ops/dense.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

void expect_weights(const OpCall& call, std::size_t k) {
  expects(is_f32(call, k) && call.inputs[k].shape.rank() == 2, call, "W must be f32 [in, out]");
}

void expect_rows(const OpCall& call, std::size_t k) {
  expects(is_f32(call, k) && call.inputs[k].shape.rank() >= 2, call,
          "x and y must be f32 [batch, ..., features]");
}

Specs infer(const OpCall& call) {
  expects(call.inputs.size() >= 2, call, "takes x, W and an optional bias");
  expect_rows(call, 0);
  expect_weights(call, 1);
  const Shape &x = call.inputs[0].shape, &weights = call.inputs[1].shape;
  expects(x[-1] == weights[0], call, "the last extent of x must be the first of W");
  if (has(call, 2)) {
    expects(is_f32(call, 2) && call.inputs[2].shape == Shape{weights[1]}, call, "bias must be f32 [out]");
  }
  return {{x.with(-1, weights[1])}};
}

Specs infer_backward_data(const OpCall& call) {
  expects(call.inputs.size() >= 2, call, "takes dz, W and optionally x");
  expect_rows(call, 0);
  expect_weights(call, 1);
  const Shape &dz = call.inputs[0].shape, &weights = call.inputs[1].shape;
  expects(dz[-1] == weights[1], call, "the last extents of dz and W must be equal");
  const Spec dx{dz.with(-1, weights[0])};
  const Activation slope = call.attrs_as<DenseBackwardDataAttrs>().slope;
  expects(slope != Activation::gelu, call, "the slope of gelu is not a function of its output");
  expects(slope == Activation::linear || has(call, 2), call, "a slope needs the activation's output");
  if (has(call, 2)) expects(call.inputs[2] == dx, call, "the activation's output must have the shape of dx");
  return {dx};
}

Specs infer_backward_weights(const OpCall& call) {
  expects(call.inputs.size() == 2, call, "takes x and dz");
  expect_rows(call, 0);
  expect_rows(call, 1);
  const Shape &x = call.inputs[0].shape, &dz = call.inputs[1].shape;
  expects(x.with(-1, 1) == dz.with(-1, 1), call, "x and dz must have the same rows");
  const bool bias = call.attrs_as<DenseBackwardWeightsAttrs>().bias;
  return {{Shape{x[-1], dz[-1]}}, {Shape{bias ? dz[-1] : 0}}};
}

Specs infer_backward(const OpCall& call) {
  expects(call.inputs.size() == 3, call, "takes dz, W and x");
  for (const std::size_t k : {0, 2}) expect_rows(call, k);
  expect_weights(call, 1);
  const auto& attrs = call.attrs_as<DenseBackwardAttrs>();
  const Shape &dz = call.inputs[0].shape, &weights = call.inputs[1].shape;
  expects(dz[-1] == weights[1] && call.inputs[2].shape == dz.with(-1, weights[0]), call,
          "dz must have the columns of W, x its rows");
  expects(attrs.slope != Activation::gelu, call, "the slope of gelu is not a function of its output");
  return {call.inputs[2], call.inputs[1], {Shape{attrs.bias ? weights[1] : 0}}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto& attrs = std::any_cast<const DenseAttrs&>(node.attrs);
  if (attrs.activation == Activation::gelu) {
    throw UsageError("dense: no gradient flows through a fused gelu; emit the activation as an op",
                     node.where);
  }
  ValueId dz = dy[0];
  if (attrs.activation != Activation::linear) {
    dz = graph.emit1("activation_backward", {node.outputs[0], dz, kNoValue},
                     ActivationAttrs{attrs.activation});
  }
  const bool bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  const ValueId dx =
      graph.emit1("dense_backward_data", {dz, node.inputs[1], kNoValue}, DenseBackwardDataAttrs{});
  const ValueIds dweights =
      graph.emit("dense_backward_weights", {node.inputs[0], dz}, DenseBackwardWeightsAttrs{.bias = bias});
  return {dx, dweights[0], bias ? dweights[1] : kNoValue};
}

// A multiply-add for each row, input and output feature.
Cost product(const OpCall& call, const Shape& rows, std::int64_t other_features) {
  return arithmetic(call, 2.0 * static_cast<double>(rows.elements()) * static_cast<double>(other_features));
}
Cost cost(const OpCall& call) {
  return product(call, call.inputs[0].shape, call.inputs[1].shape[1]);
}
Cost cost_backward_data(const OpCall& call) {
  return product(call, call.inputs[0].shape, call.inputs[1].shape[0]);
}
Cost cost_backward_weights(const OpCall& call) {
  return product(call, call.inputs[0].shape, call.inputs[1].shape[-1]);
}

Cost cost_backward(const OpCall& call) {
  return product(call, call.inputs[0].shape, 2 * call.inputs[1].shape[0]);
}

}  // namespace

void define_dense(Registry& registry) {
  registry.add(
      {.name = "dense", .outputs = {Rows::each}, .infer = infer, .gradient = gradient, .cost = cost});
  registry.add({.name = "dense_backward_data",
                .outputs = {Rows::each},
                .infer = infer_backward_data,
                .cost = cost_backward_data,
                .accumulates = 1});
  registry.add({.name = "dense_backward_weights",
                .outputs = {Rows::sum, Rows::sum},
                .infer = infer_backward_weights,
                .cost = cost_backward_weights,
                .accumulates = 3});
  registry.add_fused({.name = "dense_backward",
                      .outputs = {Rows::each, Rows::sum, Rows::sum},
                      .infer = infer_backward,
                      .cost = cost_backward,
                      .accumulates = 7});
}

}  // namespace gpunn::ops
