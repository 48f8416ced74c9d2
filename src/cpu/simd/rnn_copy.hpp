// Between the callers' tensors [rows, steps, width] and compact copies of one chunk, [steps][rows] padded to
// whole vectors. Included only by rnn_*.simd.cpp.
//
// Copying costs about 1 % of a layer and buys the rest of the code one order of rows, no tails, and no
// strides that make rows share the sets of a cache; dropout masks and the direction of time are dealt with on
// the way.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

// out = in * scale (null: 1), zeros up to a whole vector.
GPUNN_INLINE void copy_padded(const float* in, const float* scale, int64_t width, float* out) {
  for_vectors(width, [=](int64_t i, auto part) {
    const Vec v = load(in + i, part);
    store(out + i, scale ? v * load(scale + i, part) : v);
  });
}

GPUNN_INLINE void zero_padded(int64_t width, float* out) {
  for (int64_t i = 0; i < width; i += kLanes) store(out + i, Vec{});
}

GPUNN_INLINE void copy_out(const float* in, int64_t width, bool add, float* out) {
  for_vectors(width, [=](int64_t i, auto part) {
    const Vec v = load(in + i);
    store(out + i, add ? load(out + i, part) + v : v, part);
  });
}

// Rows [rows, width] of a state, to and from rows `stride` apart. A null source is zeros, a null target is
// not wanted.
void load_rows(const float* in, int64_t rows, int64_t width, float* out, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    in ? copy_padded(in + i * width, nullptr, width, out + i * stride) : zero_padded(width, out + i * stride);
  }
}
void store_rows(const float* in, int64_t stride, int64_t rows, int64_t width, bool add, float* out) {
  if (!out) return;
  for (int64_t i = 0; i < rows; ++i) copy_out(in + i * stride, width, add, out + i * width);
}

// Which time steps of [rows, steps, width], in the order of the loop: step t of the loop is step `first + t`
// or, reversed, `steps - 1 - first - t` of the tensor.
struct Window {
  int64_t rows, steps, first, count;
  bool reversed;
  GPUNN_INLINE int64_t at(int64_t row, int64_t t) const {
    return row * steps + (reversed ? steps - 1 - first - t : first + t);
  }
};

// out[t * rows + row] = in[row][t]. Steps that the mask leaves out are zeros: whatever stands in a padded
// step, NaN included, must not reach a sum.
void load_window(const float* in, const Window& w, int64_t width, const uint8_t* mask, const float* scale,
                 int64_t scale_stride, float* out, int64_t stride) {
  for (int64_t row = 0; row < w.rows; ++row) {
    for (int64_t t = 0; t < w.count; ++t) {
      float* to = out + (t * w.rows + row) * stride;
      if (mask && !mask[w.at(row, t)]) {
        zero_padded(width, to);
      } else {
        copy_padded(in + w.at(row, t) * width, scale ? scale + row * scale_stride : nullptr, width, to);
      }
    }
  }
}

void store_window(const float* in, int64_t stride, const Window& w, int64_t width, bool add, float* out) {
  for (int64_t row = 0; row < w.rows; ++row) {
    for (int64_t t = 0; t < w.count; ++t) {
      copy_out(in + (t * w.rows + row) * stride, width, add, out + w.at(row, t) * width);
    }
  }
}

// out[i] (+)= in[i] * scale[row of i], the rows of a slice coming round again and again.
void scale_rows(const float* in, int64_t count, int64_t rows, const float* scale, int64_t scale_stride,
                int64_t width, bool add, float* out, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) {
    const float* row_scale = scale + i % rows * scale_stride;
    const float* from = in + i * stride;
    float* to = out + i * stride;
    for_vectors(width, [=](int64_t k, auto part) {
      const Vec v = load(from + k) * load(row_scale + k, part);
      store(to + k, add ? load(to + k) + v : v);
    });
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
