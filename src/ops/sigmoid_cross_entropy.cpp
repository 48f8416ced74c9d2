#include "src/ops/sigmoid_cross_entropy.hpp"

#include "src/ops/losses.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_dense_labels(call);
  return {kPairSpec, call.inputs[0]};
}

Specs infer_backward(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_dense_labels(call);
  expect_dloss(call);
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  if (dy[1] != kNoValue) {
    throw UsageError(
        "sigmoid_cross_entropy: no gradient flows through the probabilities; emit sigmoid as an op",
        node.where);
  }
  return loss_gradient(graph, node, "sigmoid_cross_entropy_backward", node.outputs[1], dy[0]);
}

}  // namespace

void define_sigmoid_cross_entropy(Registry& registry) {
  registry.add({.name = "sigmoid_cross_entropy",
                .outputs = {Rows::sum, Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_input_element<16>});  // the exponential is a polynomial
  registry.add({.name = "sigmoid_cross_entropy_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_input_element<3>,
                .accumulates = 1});
  define_with_gradient(registry, registry.find("sigmoid_cross_entropy"));
  define_dense_with_gradient(registry, registry.find("sigmoid_cross_entropy"));
}

}  // namespace gpunn::ops
