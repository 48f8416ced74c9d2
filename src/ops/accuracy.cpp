#include "src/ops/accuracy.hpp"

#include "src/ops/losses.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expect_predictions_and_weights(call);
  call.attrs_as<AccuracyAttrs>().kind == Accuracy::sparse_categorical ? expect_sparse_labels(call)
                                                                      : expect_dense_labels(call);
  return {kPairSpec};
}

}  // namespace

void define_accuracy(Registry& registry) {
  registry.add({.name = "accuracy", .outputs = {Rows::sum}, .infer = infer, .cost = per_input_element<2>});
}

}  // namespace gpunn::ops
