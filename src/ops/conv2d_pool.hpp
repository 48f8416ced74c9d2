// A convolution with bias, relu and the 2x2 max pool behind it as one op: the unpooled map is never stored,
// and backward visits only the elements that won and that relu let live. Made by a pass, for convolutions
// that nobody else reads.
//
// conv2d_pool:  x [batch, height, width, in], W [kernel height, kernel width, in, out], bias [out]?
//               -> y [batch, rows / 2, columns / 2, out], winners u8 alike                (rows each)
//               attributes Conv2dPoolAttrs
// conv2d_pool_backward_data:     dy, W, winners -> dx                                     (rows each,
// accumulates)
//               attributes Conv2dPoolBackwardDataAttrs
// conv2d_pool_backward_weights:  x, dy, winners -> dW, db [out] or, unless asked for, [0]  (rows sum,
// accumulates)
//               attributes Conv2dPoolBackwardWeightsAttrs
//
// winners: 0 1 / 2 3 is the place in the window of the element that won (the first of equal ones; NaN wins),
// 4: relu gave 0. Stride 1, no dilation, one group; the pool's windows do not overlap, and an odd last row or
// column is left out, as in Keras.
#pragma once

#include "src/ops/activation.hpp"
#include "src/ops/window.hpp"

namespace gpunn::ops {

struct Conv2dPoolAttrs {
  Padding2d padding = {};
  Activation activation = Activation::linear;  // or relu
};

struct Conv2dPoolBackwardDataAttrs {
  Padding2d padding = {};
  Size2d input;  // height and width of x
};

struct Conv2dPoolBackwardWeightsAttrs {
  Padding2d padding = {};
  Size2d kernel;  // height and width of W
  bool bias = true;
};

}  // namespace gpunn::ops
