// What convolutions read: an image with its zero border, made in scratch only where there is one.
#pragma once

#include "src/cpu/simd/conv.hpp"
#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

struct Image {
  const float* x;
  ptrdiff_t row;
};

// The part of x's plane that a convolution over rows x columns outputs sees.
struct Extent {
  int64_t height, width;
};
GPUNN_INLINE Extent seen(const Conv2d& c, int64_t rows, int64_t columns) {
  return {rows + c.kernel_h - 1, columns + c.kernel_w - 1};
}

GPUNN_INLINE bool has_border(const Conv2d& c, Extent e) {
  return c.pad_top || c.pad_left || e.height > c.height || e.width > c.width;
}
GPUNN_INLINE int64_t bordered_floats(const Conv2d& c, Extent e) {
  return has_border(c, e) ? e.height * e.width * c.channels : 0;
}

inline void fill_zero(float* p, int64_t n) {
  for_vectors(n, [=](int64_t i, auto part) { store(p + i, Vec{}, part); });
}
inline void copy(const float* from, int64_t n, float* to) {
  for_vectors(n, [=](int64_t i, auto part) { store(to + i, load(from + i, part), part); });
}

// Where the rows and columns of x lie inside the bordered image.
struct Inside {
  int64_t row0, rows, column0, columns;
};
GPUNN_INLINE Inside inside(const Conv2d& c, Extent e) {
  return {c.pad_top, most(0, least(c.height, e.height - c.pad_top)), c.pad_left,
          most(0, least(c.width, e.width - c.pad_left))};
}

GPUNN_INLINE Image bordered(const Conv2d& c, Extent e, const float* x, float* scratch) {
  if (!has_border(c, e)) return {x, c.x_row};
  const ptrdiff_t row = e.width * c.channels;
  const Inside in = inside(c, e);
  fill_zero(scratch, e.height * row);
  for (int64_t r = 0; r < in.rows; ++r) {
    copy(x + r * c.x_row, in.columns * c.channels, scratch + (in.row0 + r) * row + in.column0 * c.channels);
  }
  return {scratch, row};
}

}  // namespace
}  // namespace gpunn::cpu::simd
