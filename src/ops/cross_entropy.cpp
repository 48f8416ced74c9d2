#include "src/ops/cross_entropy.hpp"

#include "src/ops/losses.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_class_labels(call);
  return {kPairSpec};
}

Specs infer_backward(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_class_labels(call);
  expect_dloss(call);
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return loss_gradient(graph, node, "cross_entropy_backward", node.inputs[0], dy[0]);
}

}  // namespace

void define_cross_entropy(Registry& registry) {
  registry.add({.name = "cross_entropy",
                .outputs = {Rows::sum},
                .infer = infer,
                .gradient = gradient,
                .cost = per_input_element<4>});
  registry.add({.name = "cross_entropy_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_input_element<6>,
                .accumulates = 1});
  define_with_gradient(registry, registry.find("cross_entropy"));
}

}  // namespace gpunn::ops
