#pragma once

#include "kernels/pool.hpp"
#include "src/ops/window.hpp"

namespace gpunn::cuda {

inline kernels::PoolGeometry pool_geometry(const Shape& x, const Shape& y, ops::Size2d window,
                                           ops::Size2d strides, const ops::Padding2d& padding) {
  kernels::PoolGeometry g;
  g.batch = x[0];
  g.channels = x[3];
  g.height = {window.height, strides.height, padding.top, x[1], y[1]};
  g.width = {window.width, strides.width, padding.left, x[2], y[2]};
  return g;
}

// One window over the whole image.
inline kernels::PoolGeometry global_geometry(const Shape& x) {
  return pool_geometry(x, Shape{x[0], 1, 1, x[3]}, {x[1], x[2]}, {1, 1}, {});
}

}  // namespace gpunn::cuda
