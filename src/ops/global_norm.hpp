// squared_norms:  gradients f32 [n] -> sums f32 [pieces]: the sum of squares of each piece of kUpdatePiece
// (rows all)
//                 attributes SquaredNormsAttrs
// global_norm:    sums f32 [pieces] -> norm f32 [1] = sqrt(sum) * |StepState::gradient_scale|  (rows all)
//
// Two ops, so that the first runs on all threads and the result still does not depend on their number.
// An optimizer given `norm` multiplies g by clip_norm * min(1 / norm, 1 / clip_norm), which is NaN when the
// norm is not finite, as Keras's clip_by_global_norm.
#pragma once

#include "src/ops/segments.hpp"

namespace gpunn::ops {

struct SquaredNormsAttrs {
  ParameterSegments segments = {};
};

// The factor for a norm.
inline float clip_factor(float norm, float clip_norm) {
  const float a = 1.0f / norm, b = 1.0f / clip_norm;
  return clip_norm * (a < b ? a : b) + (norm - norm);
}

}  // namespace gpunn::ops
