// dense:  x [batch, ..., in], W [in, out], bias [out]? -> y [batch, ..., out]  (rows each)
//         y = activation(x W + bias); attributes DenseAttrs
// dense_backward_data:     dz [batch, ..., out], W, y_before? -> dx [batch, ..., in]
//  (rows each, accumulates)
//         dx = dz W^T; with `y_before` (x itself, the output of an activation) it is multiplied by that
//         activation's slope; attributes DenseBackwardDataAttrs
// dense_backward_weights:  x, dz -> dW [in, out], db [out] or, unless asked for, [0]  (rows sum, accumulates)
//         attributes DenseBackwardWeightsAttrs
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

}  // namespace gpunn::ops
