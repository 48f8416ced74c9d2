// From the public sizes and paddings to those of the ops.
#pragma once

#include <initializer_list>

#include "gpunn/layers.hpp"
#include "src/core/text.hpp"
#include "src/ops/window.hpp"

namespace gpunn::nn {

inline ops::Size2d to_op(Size2 size) {
  return {size.height, size.width};
}

// Of numbers below this no sum or product of a window's overflows 64 bits.
constexpr std::int64_t kWindowLimit = std::int64_t{1} << 31;

// Throws UsageError unless the window's numbers are positive, and those of the padding not negative.
inline void check_window(std::string_view type, const char* size_name, Size2 size, Size2 strides,
                         Size2 dilation, const Padding& zeros, SourceLocation where) {
  const auto check = [&](const char* name, std::int64_t least, std::initializer_list<std::int64_t> numbers) {
    for (const std::int64_t number : numbers) {
      if (number >= least && number < kWindowLimit) continue;
      throw UsageError(cat(type, ": ", name, " must be ", least > 0 ? "positive" : "0 or more",
                           " and below 2^31, not ", number),
                       where);
    }
  };
  check(size_name, 1, {size.height, size.width});
  check("strides", 1, {strides.height, strides.width});
  check("dilation_rate", 1, {dilation.height, dilation.width});
  check("padding", 0, {zeros.top, zeros.bottom, zeros.left, zeros.right});
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
