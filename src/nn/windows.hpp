// From the public sizes and paddings to those of the ops.
#pragma once

#include "gpunn/layers.hpp"
#include "src/ops/window.hpp"

namespace gpunn::nn {

inline ops::Size2d to_op(Size2 size) {
  return {size.height, size.width};
}

// The zeros around images [batch, height, width, channels].
inline ops::Padding2d resolve(const Padding& padding, const Shape& x, Size2 window, Size2 strides,
                              Size2 dilation = 1) {
  switch (padding.kind) {
    case Padding::Kind::valid:
      return {};
    case Padding::Kind::explicit_zeros:
      return {padding.top, padding.bottom, padding.left, padding.right};
    case Padding::Kind::causal:
      throw ShapeError("causal padding is of sequences: Conv1D");
    case Padding::Kind::same:
      break;
  }
  return ops::same_padding({x[1], x[2]}, to_op(window), to_op(strides), to_op(dilation));
}

}  // namespace gpunn::nn
