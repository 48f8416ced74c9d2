// What the definitions of losses share: one emits "<loss>_backward" with the inputs that it names.
#pragma once

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {

inline const Spec kPairSpec{Shape{2}};  // (sum, weight)

// Emits `backward` of (what, labels, weights?, dloss?), where `what` is the predictions or the probabilities.
ValueIds loss_gradient(Graph& graph, const Node& node, std::string_view backward, ValueId what,
                       ValueId dloss);

// dloss, input 3 of backward ops, is optional and (sum, weight).
void expect_dloss(const OpCall& call);

// Labels may be i32 class numbers or dense.
void expect_class_labels(const OpCall& call);

// "<loss>_with_gradient": inputs of <loss> -> its outputs, dx, accuracy f32 [2] (written where asked for).
// One pass over the data in place of <loss>, <loss>_backward without dloss, and accuracy of the same
// predictions.
inline constexpr std::string_view kWithGradient = "_with_gradient";
struct LossGradientAttrs {
  bool accuracy = false;
};
void define_with_gradient(Registry& registry, const OpDef& loss);

// "dense_<loss>_with_gradient": x, W, bias?, labels, weights? -> the outputs of <loss>_with_gradient of
// predictions x W + bias, which nobody else reads.
inline constexpr std::string_view kDense = "dense_";
void define_dense_with_gradient(Registry& registry, const OpDef& loss);
// The call of <loss>_with_gradient that is part of one. Valid as long as `inputs`, which it fills, and
// `call`.
GPUNN_API OpCall loss_behind_dense(const OpCall& call, Specs& inputs);

}  // namespace gpunn::ops
