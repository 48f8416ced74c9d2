// max_pool2d:               x [batch, height, width, channels] -> y, argmax i32 alike  (rows each)
// max_pool2d_backward:      dy, argmax -> dx  (rows each, accumulates)
// max_pool2d_backward_slope: dy, argmax, y -> dx  (rows each, accumulates): made by a pass, times the slope
// of the
//                           activation that made x, taken at y
// average_pool2d:           x -> y  (rows each)
// average_pool2d_backward:  dy -> dx  (rows each, accumulates)
//
// Attributes Pool2dAttrs, backward Pool2dBackwardAttrs. argmax is the position in the image (row * width +
// column) of the element that won: the first of equal ones; NaN wins over every number. Averages are over the
// window's part inside the image, as in Keras.
#pragma once

#include "src/ops/activation.hpp"
#include "src/ops/window.hpp"

namespace gpunn::ops {

struct Pool2dAttrs {
  Size2d window{2, 2};
  Size2d strides{2, 2};
  Padding2d padding = {};  // each smaller than the window
};

struct Pool2dBackwardAttrs {
  Pool2dAttrs pool = {};
  Size2d input = {};  // height and width of x
};

struct Pool2dBackwardSlopeAttrs {
  Pool2dBackwardAttrs backward = {};
  Activation slope = Activation::linear;  // whose slope is known by its output
};

}  // namespace gpunn::ops
