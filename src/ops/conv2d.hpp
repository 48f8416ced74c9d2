// conv2d:  x [batch, height, width, in], W [kernel height, kernel width, in / groups, out], bias [out]? -> y
//          y = activation(x * W + bias); attributes Conv2dAttrs  (rows each)
// conv2d_backward_data:     dz, W, y_before? -> dx  (rows each, accumulates)
//          with `y_before` (x itself, the output of an activation) dx is multiplied by that activation's
//          slope; attributes Conv2dBackwardDataAttrs
// conv2d_backward_weights:  x, dz -> dW, db [out] or, unless asked for, [0]  (rows sum, accumulates)
//          attributes Conv2dBackwardWeightsAttrs
//
// Images are channels-last, kernels as Keras keeps them. z is what the activation is applied to.
#pragma once

#include "src/ops/activation.hpp"
#include "src/ops/window.hpp"

namespace gpunn::ops {

struct Conv2dAttrs {
  Size2d strides = {};
  Padding2d padding = {};
  Size2d dilation = {};
  std::int64_t groups = 1;
  Activation activation = Activation::linear;  // gelu may be fused only where no gradient is taken
};

struct Conv2dBackwardDataAttrs {
  Conv2dAttrs conv = {};
  Size2d input = {};                      // height and width of x
  Activation slope = Activation::linear;  // of the activation that made x; not gelu
};

struct Conv2dBackwardWeightsAttrs {
  Conv2dAttrs conv = {};
  Size2d kernel = {};  // height and width of W
  bool bias = true;
};

}  // namespace gpunn::ops
