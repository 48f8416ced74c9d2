// The shapes that all convolution tests go through.
#pragma once

#include <string>
#include <vector>

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {

struct Case {
  std::int64_t height, width, channels, kernel_h, kernel_w, filters, pad;
};

// Both methods; channels and filters around vectors and panels; borders; outputs odd, even and single.
inline const std::vector<Case> kCases = {
    {7, 6, 1, 3, 3, 5, 0},   {8, 8, 3, 5, 5, 16, 2},    {6, 9, 4, 3, 3, 33, 1},    {5, 5, 8, 3, 3, 8, 0},
    {7, 8, 9, 3, 3, 40, 1},  {12, 12, 32, 3, 3, 17, 0}, {5, 4, 16, 1, 1, 48, 0},   {9, 7, 10, 5, 3, 12, 1},
    {3, 3, 16, 3, 3, 16, 0}, {4, 3, 20, 3, 3, 80, 1},   {14, 30, 12, 3, 3, 10, 1},
};

inline Conv2d shape_of(const Case& a, std::int64_t pool, std::int64_t batch = 2) {
  Conv2d c{.batch = batch,
           .height = a.height,
           .width = a.width,
           .channels = a.channels,
           .kernel_h = a.kernel_h,
           .kernel_w = a.kernel_w,
           .filters = a.filters,
           .pad_top = a.pad,
           .pad_left = a.pad};
  c.out_h = (a.height + 2 * a.pad - a.kernel_h + 1) / pool,
  c.out_w = (a.width + 2 * a.pad - a.kernel_w + 1) / pool;
  c.x_row = a.width * a.channels, c.x_image = a.height * c.x_row;
  c.y_row = c.out_w * a.filters, c.y_image = c.out_h * c.y_row;
  return c;
}

inline std::string describe(const Conv2d& c) {
  return std::to_string(c.height) + "x" + std::to_string(c.width) + "x" + std::to_string(c.channels) + " * " +
         std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) + "x" + std::to_string(c.filters) +
         " pad " + std::to_string(c.pad_top);
}

struct Operands {
  explicit Operands(const Conv2d& c)
      : x(uniform(c.batch * c.x_image, -1, 1, 1)),
        w(uniform(c.kernel_h * c.kernel_w * c.channels * c.filters, -1, 1, 2)),
        bias(uniform(c.filters, -1, 1, 3)) {}
  Vec1 x, w, bias;
};

inline Vec1 nans(std::int64_t n) {
  return Vec1(static_cast<std::size_t>(n), std::nanf(""));
}

inline double depth(const Conv2d& c) {
  return static_cast<double>(c.kernel_h * c.kernel_w * c.channels);
}

}  // namespace gpunn::cpu::simd
