// A convolution as products of matrices that are never made: where their elements lie in images and weights.
// Pixels and taps are counted in 32 bits (launchers check), addresses in 64.
#pragma once

#include <cuda_runtime.h>

#include "kernels/conv2d_direct.hpp"
#include "kernels/divider.hpp"
#include "kernels/epilogue.cuh"

namespace gpunn::kernels {

struct DeviceAxis {
  int in, out, kernel, stride, padding, dilation;
};

// The geometry as kernels use it.
struct ConvDevice {
  DeviceAxis height, width;
  std::int64_t in, out;     // channels
  int group_in, group_out;  // channels
  Divider in_width, in_height, out_width, out_height, kernel_width, by_group_in, by_group_out;
};

inline DeviceAxis device_axis(const ConvAxis& a) {
  return {static_cast<int>(a.in),     static_cast<int>(a.out),     static_cast<int>(a.kernel),
          static_cast<int>(a.stride), static_cast<int>(a.padding), static_cast<int>(a.dilation)};
}
inline ConvDevice device_geometry(const ConvGeometry& g) {
  const auto positive = [](std::int64_t n) { return Divider(n > 0 ? n : 1); };
  return {.height = device_axis(g.height),
          .width = device_axis(g.width),
          .in = g.in,
          .out = g.out,
          .group_in = static_cast<int>(g.group_in()),
          .group_out = static_cast<int>(g.group_out()),
          .in_width = positive(g.width.in),
          .in_height = positive(g.height.in),
          .out_width = positive(g.width.out),
          .out_height = positive(g.height.out),
          .kernel_width = positive(g.width.kernel),
          .by_group_in = positive(g.group_in()),
          .by_group_out = positive(g.group_out())};
}

struct Pixel {
  const float* image;  // of the group's first channel
  int row, column;     // of a window's corner, perhaps in the padding
};
struct Tap {
  int row, column, channel;
};

// The window that makes pixel `pixel` of y.
__device__ inline Pixel window_at(const ConvDevice& g, const float* x, std::uint32_t pixel) {
  const auto [line, column] = g.out_width.split(pixel);
  const auto [image, row] = g.out_height.split(line);
  return {x + std::int64_t{image} * g.height.in * g.width.in * g.in,
          static_cast<int>(row) * g.height.stride - g.height.padding,
          static_cast<int>(column) * g.width.stride - g.width.padding};
}
// Tap k of a kernel whose channels are counted by `channels`.
__device__ inline Tap tap_at(const ConvDevice& g, const Divider& channels, std::uint32_t k) {
  const auto [place, channel] = channels.split(k);
  const auto [row, column] = g.kernel_width.split(place);
  return {static_cast<int>(row) * g.height.dilation, static_cast<int>(column) * g.width.dilation,
          static_cast<int>(channel)};
}
// x under a tap of a window; 0 in the padding.
__device__ inline float under(const ConvDevice& g, const Pixel& at, const Tap& tap) {
  const int row = at.row + tap.row, column = at.column + tap.column;
  if (row < 0 || row >= g.height.in || column < 0 || column >= g.width.in) return 0;
  return at.image[(std::int64_t{row} * g.width.in + column) * g.in + tap.channel];
}

// [y pixel, tap]. Channels lie side by side in memory: lanes run along the taps.
struct ImagePatches {
  static constexpr bool kAcross = false;
  ConvDevice g;
  const float* x;
  __device__ Pixel line(std::int64_t group, std::int64_t pixel) const {
    return window_at(g, x + group * g.group_in, static_cast<std::uint32_t>(pixel));
  }
  __device__ float at(const Pixel& pixel, std::int64_t k) const {
    return under(g, pixel, tap_at(g, g.by_group_in, static_cast<std::uint32_t>(k)));
  }
};

// The same transposed, [tap, y pixel]: lanes still run along the taps.
struct TransposedPatches {
  static constexpr bool kAcross = true;
  ConvDevice g;
  const float* x;
  struct Line {
    const float* x;  // of the group's first channel
    Tap tap;
  };
  __device__ Line line(std::int64_t group, std::int64_t tap) const {
    return {x + group * g.group_in, tap_at(g, g.by_group_in, static_cast<std::uint32_t>(tap))};
  }
  __device__ float at(const Line& line, std::int64_t pixel) const {
    return under(g, window_at(g, line.x, static_cast<std::uint32_t>(pixel)), line.tap);
  }
};

// [x pixel, (kernel row, kernel column, out channel)]: dy of the window that saw this pixel through that tap.
struct OutputPatches {
  static constexpr bool kAcross = false;
  ConvDevice g;
  Divider row_stride, column_stride;
  const float* dy;
  __device__ Pixel line(std::int64_t group, std::int64_t pixel) const {
    const auto [line, column] = g.in_width.split(static_cast<std::uint32_t>(pixel));
    const auto [image, row] = g.in_height.split(line);
    return {dy + std::int64_t{image} * g.height.out * g.width.out * g.out + group * g.group_out,
            static_cast<int>(row) + g.height.padding, static_cast<int>(column) + g.width.padding};
  }
  __device__ float at(const Pixel& pixel, std::int64_t k) const {
    const Tap tap = tap_at(g, g.by_group_out, static_cast<std::uint32_t>(k));
    const int down = pixel.row - tap.row, across = pixel.column - tap.column;
    if (down < 0 || across < 0) return 0;
    const auto [row, row_rest] = row_stride.split(static_cast<std::uint32_t>(down));
    const auto [column, column_rest] = column_stride.split(static_cast<std::uint32_t>(across));
    if (row_rest != 0 || column_rest != 0) return 0;  // between two windows
    if (static_cast<int>(row) >= g.height.out || static_cast<int>(column) >= g.width.out) return 0;
    return pixel.image[(std::int64_t{row} * g.width.out + column) * g.out + tap.channel];
  }
};

// Columns of a matrix whose rows are `stride` elements long: weights [tap, out channel], dy [pixel, out
// channel].
struct GroupColumns {
  static constexpr bool kAcross = true;
  const float* data;
  std::int64_t stride;
  std::int64_t group_columns;
  __device__ const float* line(std::int64_t group, std::int64_t column) const {
    return data + group * group_columns + column;
  }
  __device__ float at(const float* line, std::int64_t k) const { return line[k * stride]; }
};

// Weights as [(kernel row, kernel column, out channel), in channel]: out channels lie side by side.
struct BackwardWeights {
  static constexpr bool kAcross = false;
  ConvDevice g;
  const float* w;
  __device__ const float* line(std::int64_t group, std::int64_t channel) const {
    return w + channel * g.out + group * g.group_out;
  }
  __device__ float at(const float* line, std::int64_t k) const {
    const auto [place, channel] = g.by_group_out.split(static_cast<std::uint32_t>(k));
    return line[std::int64_t{place} * g.group_in * g.out + channel];
  }
};

// Images: row = pixel, column = channel of the group.
struct StorePixels {
  static constexpr bool kColumnSums = false;
  Epilogue epilogue;
  std::int64_t channels;        // of all groups
  std::int64_t group_channels;  // of one
  float* y;
  __device__ void store(std::int64_t group, std::int64_t, std::int64_t row, std::int64_t column,
                        float sum) const {
    const std::int64_t channel = group * group_channels + column;
    finish(epilogue, y, row * channels + channel, channel, sum);
  }
};

struct StoreWeights {
  static constexpr bool kColumnSums = true;
  std::int64_t out;
  std::int64_t group_out;
  bool add;
  float* dw;
  ColumnSums bias;
  __device__ bool wants_sums() const { return bias.y != nullptr; }
  __device__ void store_sum(std::int64_t group, std::int64_t, std::int64_t column, float sum) const {
    finish(bias, group * group_out + column, sum);
  }
  __device__ void store(std::int64_t group, std::int64_t, std::int64_t tap, std::int64_t column,
                        float sum) const {
    float* at = dw + tap * out + group * group_out + column;
    *at = add ? *at + sum : sum;
  }
};

}  // namespace gpunn::kernels
