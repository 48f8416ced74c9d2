// sgd:  parameters f32 [n] (changed), gradients f32 [n], velocity f32 [n]? (changed), norm f32 [1]?
//
// Flat buffers, described by the segments. g = gradients * StepState::gradient_scale, then clipped by the
// global norm when `norm` is given; lr = StepState::learning_rate * the segment's factor. As Keras:
//   weight decay:     w -= w * weight_decay * lr
//   momentum == 0:    w -= lr * g                       (velocity absent)
//   else:             velocity = momentum * velocity - lr * g
//                     w += velocity, or, with nesterov, w += momentum * velocity - lr * g
#pragma once

#include "src/ops/segments.hpp"

namespace gpunn::ops {

struct SgdAttrs {
  ParameterSegments segments = {};
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;
  float clip_norm = 0;          // > 0: with `norm`
  bool skip_nonfinite = false;  // with `norm`: nothing changes when it is not finite
};

}  // namespace gpunn::ops
