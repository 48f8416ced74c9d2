// What losses and metrics count each vector of predictions with, from sample weights and a mask.
//
// mask_count:    mask u8 [batch, steps] -> f32 [1]: how many steps are real  (rows sum)
// loss_weights:  weights f32 [batch] or [batch, vectors]?, mask u8 [batch, steps]?, count f32 [1]?
//                -> f32 [batch, vectors]; attributes LossWeightsAttrs  (rows each)
//
// As Keras: a weight is 0 at steps of padding. With `count`, those of real steps are multiplied by
// batch * steps / count, so that a loss divided by all of its rows is the mean over the real ones; a batch
// without a real step has weights of 0. Each step may hold several vectors, which share its mask.
#pragma once

#include <cstdint>

namespace gpunn::ops {

struct LossWeightsAttrs {
  std::int64_t vectors = 1;  // of a sample; a multiple of the steps of the mask
};

}  // namespace gpunn::ops
