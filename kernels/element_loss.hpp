// Losses that are a mean over the columns of a row: x[rows, columns] against target[rows, columns].
//
// Forward, and the gradient in the same launch when gradient.dx is given: reads x and target once, writes dx
// and the probabilities once. dx may be x (overwrite). weights[rows] may be null: all 1.
#pragma once

#include "kernels/loss.hpp"

namespace gpunn::kernels {

enum class ElementLoss : std::uint8_t {
  sigmoid_cross_entropy,  // of logits; metric: binary accuracy; probabilities = sigmoid(x)
  binary_cross_entropy,   // of probabilities; metric: binary accuracy
  squared_error,          // metric: absolute error
};

// What makes x, in the same launch: features w + bias, by one thread for each element, in the order in which
// gemm() adds.
struct LossProduct {
  std::int64_t width = 0;
  const float* features = nullptr;  // [rows, width]
  const float* w = nullptr;         // [width, columns]
  const float* bias = nullptr;      // [columns], or null
};
// `x` is not read where there is a `product`.
void element_loss(Gpu gpu, ElementLoss kind, Matrix shape, const float* x, const float* target,
                  const float* weights, const LossOutputs& out, const LossGradient& gradient,
                  const LossProduct* product = nullptr);

// The gradient alone; for sigmoid_cross_entropy `x` is the probabilities that forward made. dx may be x
// (overwrite).
void element_loss_backward(Gpu gpu, ElementLoss kind, Matrix shape, const float* x, const float* target,
                           const float* weights, const LossGradient& gradient);

}  // namespace gpunn::kernels
