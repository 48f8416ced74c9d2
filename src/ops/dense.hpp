// dense:  x [batch, ..., in], W [in, out], bias [out]? -> y [batch, ..., out]  (rows each)
//         y = activation(x W + bias); attributes DenseAttrs
// dense_backward_data:     dz [batch, ..., out], W, y_before? -> dx [batch, ..., in]
//  (rows each, accumulates)
//         dx = dz W^T; with `y_before` (x itself, the output of an activation) it is multiplied by that
//         activation's slope; attributes DenseBackwardDataAttrs
// dense_backward_weights:  x, dz -> dW [in, out], db [out] or, unless asked for, [0]  (rows sum, accumulates)
//         attributes DenseBackwardWeightsAttrs
//
// dense_backward:  dz, W, x -> dx, dW, db as both of these make them  (rows each, sum, sum; accumulates)
//         one call in place of both, made by a pass where the device has one launch for it; attributes
//         DenseBackwardAttrs, where a slope is that of the activation that made x
//
// z is what the activation is applied to. All leading axes of x count as rows.
#pragma once

#include "src/ops/activation.hpp"

namespace gpunn::ops {

struct DenseAttrs {
  Activation activation = Activation::linear;  // gelu may be fused only where no gradient is taken
};

struct DenseBackwardDataAttrs {
  Activation slope = Activation::linear;  // of the activation that made x; not gelu
};

struct DenseBackwardWeightsAttrs {
  bool bias = true;
};

struct DenseBackwardAttrs {
  Activation slope = Activation::linear;
  bool bias = true;
};

}  // namespace gpunn::ops
