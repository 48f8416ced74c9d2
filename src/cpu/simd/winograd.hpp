// The transforms of Winograd F(2x2, 3x3): Y = A' [(G g G') o (B' d B)] A, one vector of channels at a time.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

constexpr int kPoints = 16;  // products per tile

// g: 3 x 3 weights -> 4 x 4
GPUNN_INLINE void transform_weights(const Vec (&g)[3][3], Vec (&u)[kPoints]) {
  Vec t[4][3];
  GPUNN_UNROLL
  for (int s = 0; s < 3; ++s) {
    const Vec outer = 0.5f * (g[0][s] + g[2][s]), middle = 0.5f * g[1][s];
    t[0][s] = g[0][s], t[1][s] = outer + middle, t[2][s] = outer - middle, t[3][s] = g[2][s];
  }
  GPUNN_UNROLL
  for (int r = 0; r < 4; ++r) {
    const Vec outer = 0.5f * (t[r][0] + t[r][2]), middle = 0.5f * t[r][1];
    u[4 * r] = t[r][0], u[4 * r + 1] = outer + middle, u[4 * r + 2] = outer - middle, u[4 * r + 3] = t[r][2];
  }
}

// d: 4 x 4 inputs at x + r * row + s * column
template <class Part>
GPUNN_INLINE void transform_input(const float* x, ptrdiff_t row, ptrdiff_t column, Part part,
                                  Vec (&v)[kPoints]) {
  Vec t[4][4];
  GPUNN_UNROLL
  for (int s = 0; s < 4; ++s) {
    const float* p = x + s * column;
    const Vec d0 = load(p, part), d1 = load(p + row, part), d2 = load(p + 2 * row, part),
              d3 = load(p + 3 * row, part);
    t[0][s] = d0 - d2, t[1][s] = d1 + d2, t[2][s] = d2 - d1, t[3][s] = d1 - d3;
  }
  GPUNN_UNROLL
  for (int r = 0; r < 4; ++r) {
    v[4 * r] = t[r][0] - t[r][2], v[4 * r + 1] = t[r][1] + t[r][2];
    v[4 * r + 2] = t[r][2] - t[r][1], v[4 * r + 3] = t[r][1] - t[r][3];
  }
}

// m: the 16 products at m + q * point -> the 2 x 2 outputs, row by row
template <class Part>
GPUNN_INLINE void transform_output(const float* m, ptrdiff_t point, Part part, Vec (&y)[4]) {
  Vec t[2][4];
  GPUNN_UNROLL
  for (int s = 0; s < 4; ++s) {
    const float* p = m + s * point;
    const Vec m0 = load(p, part), m1 = load(p + 4 * point, part), m2 = load(p + 8 * point, part),
              m3 = load(p + 12 * point, part);
    t[0][s] = m0 + (m1 + m2), t[1][s] = (m1 - m2) - m3;
  }
  GPUNN_UNROLL
  for (int r = 0; r < 2; ++r) {
    y[2 * r] = t[r][0] + (t[r][1] + t[r][2]);
    y[2 * r + 1] = (t[r][1] - t[r][2]) - t[r][3];
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
