// Batch normalization over the last axis; C channels, N elements of each.
//
// batch_norm_mean:      x [batch, ..., C], mask u8 [batch, steps]?, count f32 [1]? -> mean [C]  (rows sum)
// batch_norm_variance:  x, mean, mask?, count? -> variance [C], biased (over N)  (rows sum)
// batch_norm:           x, mean, variance, gamma [C]?, beta [C]? -> y  (rows each)
//                       y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
// batch_norm_backward_sums:  x, dy, mean, variance -> dgamma [C], dbeta [C]  (rows sum)
// batch_norm_backward:  x, dy, mean, variance, gamma?, dgamma?, dbeta?, mask?, count? -> dx
//                       (rows each, accumulates)
//                       with dgamma and dbeta: mean and variance are those of x itself; without: constants
// batch_norm_update:    moving_mean, moving_variance (both changed in place), mean, variance
//                       moving = moving * momentum + batch's * (1 - momentum)
//
// With a mask of the steps (axis 1 of x) and its mask_count, mean and variance are those of the real steps: N
// is kMaskedCountFloor more than their elements, so that of none at all both are 0. Every step is normalized.
//
// Training emits mean, variance, batch_norm and update; evaluation batch_norm on the moving statistics. The
// gradient of batch_norm sees which by who made `mean`. The sums do not accumulate: backward reads them.
#pragma once

namespace gpunn::ops {

inline constexpr float kMaskedCountFloor = 1e-7f;  // as in Keras

struct BatchNormAttrs {  // of batch_norm and its backward ops
  float epsilon = 1e-3f;
};

struct BatchNormUpdateAttrs {
  float momentum = 0.99f;
};

}  // namespace gpunn::ops
