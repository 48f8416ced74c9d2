// Cross-entropy of softmax(x), computed together from the logits x[rows, columns].
//
// Targets: labels[rows], or target[rows, columns] (which need not sum to 1); the other pointer is null. The
// metric is accuracy: the first greatest x stands where the target (the first greatest one) is. A label
// outside [0, columns) makes its row's loss and gradient NaN and its hit 0; nothing is read out of bounds.
// weights[rows] may be null: all 1. REQUIRES: columns < 2^24.
#pragma once

#include "kernels/loss.hpp"

namespace gpunn::kernels {

struct ClassTargets {
  const std::int32_t* labels = nullptr;
  const float* distribution = nullptr;
};

// Forward, and the gradient in the same launch when gradient.dx is given. Reads x three times (twice from
// cache), writes dx and the probabilities once. dx may be x (overwrite).
void softmax_cross_entropy(Gpu gpu, Matrix shape, const float* x, ClassTargets targets, const float* weights,
                           const LossOutputs& out, const LossGradient& gradient);

// The gradient alone, from the probabilities that forward made. dx may be `probabilities` (overwrite).
void softmax_cross_entropy_backward(Gpu gpu, Matrix shape, const float* probabilities, ClassTargets targets,
                                    const float* weights, const LossGradient& gradient);

// Cross-entropy of given probabilities: q = p / sum(p), clipped to [1e-7, 1 - 1e-7], as Keras; nothing flows
// back where clipped.
void cross_entropy(Gpu gpu, Matrix shape, const float* p, ClassTargets targets, const float* weights,
                   const LossOutputs& out, const LossGradient& gradient);

// Accuracy alone, of predictions of any kind: writes out.metric.
void class_accuracy(Gpu gpu, Matrix shape, const float* predictions, ClassTargets targets,
                    const float* weights, const LossOutputs& out);

}  // namespace gpunn::kernels
