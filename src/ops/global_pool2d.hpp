// global_max_pool2d:               x [batch, height, width, channels] -> y, argmax i32  (rows each)
// global_max_pool2d_backward:      dy, argmax -> dx  (rows each, accumulates)
// global_average_pool2d:           x -> y  (rows each)
// global_average_pool2d_backward:  dy -> dx  (rows each, accumulates)
//
// y is [batch, channels], or [batch, 1, 1, channels] with keepdims. Attributes GlobalPool2dAttrs, backward
// GlobalPool2dBackwardAttrs. argmax as in max_pool2d.
#pragma once

#include "src/ops/window.hpp"

namespace gpunn::ops {

struct GlobalPool2dAttrs {
  bool keepdims = false;
};

struct GlobalPool2dBackwardAttrs {
  Size2d input = {};  // height and width of x
};

}  // namespace gpunn::ops
