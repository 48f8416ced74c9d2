#include "src/ops/mean_squared_error.hpp"

#include "src/ops/losses.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_dense_labels(call);
  return {kPairSpec};
}

Specs infer_backward(const OpCall& call) {
  expect_predictions_and_weights(call);
  expect_dense_labels(call);
  expect_dloss(call);
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return loss_gradient(graph, node, "mean_squared_error_backward", node.inputs[0], dy[0]);
}

}  // namespace

void define_mean_squared_error(Registry& registry) {
  registry.add({.name = "mean_squared_error",
                .outputs = {Rows::sum},
                .infer = infer,
                .gradient = gradient,
                .cost = per_input_element<3>});
  registry.add({.name = "mean_squared_error_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_input_element<3>,
                .accumulates = 1});
  define_with_gradient(registry, registry.find("mean_squared_error"));
  define_dense_with_gradient(registry, registry.find("mean_squared_error"));
}

}  // namespace gpunn::ops
