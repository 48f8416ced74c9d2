// adam:  parameters f32 [n], gradients f32 [n], m f32 [n], v f32 [n], norm f32 [1]?
//        parameters, m and v are changed in place
//
// Flat buffers, described by the segments. g = gradients * StepState::gradient_scale, then clipped by the
// global norm when `norm` is given; lr = StepState::learning_rate * the segment's factor; t = StepState::step
// + 1. As Keras:
//   weight decay:  decoupled (AdamW): w -= w * weight_decay * lr;  else: g += weight_decay * w
//   m += (g - m) * (1 - beta1);  v += (g * g - v) * (1 - beta2)
//   w -= m * lr * sqrt(1 - beta2^t) / (1 - beta1^t) / (sqrt(v) + epsilon)
#pragma once

#include "src/ops/segments.hpp"

namespace gpunn::ops {

struct AdamAttrs {
  ParameterSegments segments = {};
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-7f;
  float weight_decay = 0;
  bool decoupled = true;
  float clip_norm = 0;          // > 0: with `norm`
  bool skip_nonfinite = false;  // with `norm`: nothing changes when it is not finite
};

}  // namespace gpunn::ops
