// What a product or convolution does with its sums before it writes them.
#pragma once

#include "kernels/activation.hpp"

namespace gpunn::kernels {

// y (+)= activation(sum + bias) * slope'(y_before)
struct Epilogue {
  const float* bias = nullptr;  // one per column (output channel)
  Activation activation = Activation::linear;
  const float* y_before =
      nullptr;  // shaped like y: the output of the activation whose slope is multiplied in
  Activation slope = Activation::linear;
  Accumulate mode = Accumulate::overwrite;
};

// y[column] (+)= the sum over k of a product's second operand: with dz there, the gradient of a bias.
struct ColumnSums {
  float* y = nullptr;  // null: none
  Accumulate mode = Accumulate::overwrite;
};

}  // namespace gpunn::kernels
