// lazy_adam:  ids i32 [batch, ...], dy f32 [batch, ..., width], table f32 [rows, width], m and v like the
// table
//             the table, m and v are changed in place, at the rows that `ids` name and nowhere else
//
// Adam of an embedding's table without its gradient: g of a row is the sum of dy over the positions of its
// id, in their order, times StepState::gradient_scale. The formulas are those of adam.hpp, with the step's
// count t for all rows alike: PyTorch's SparseAdam, TensorFlow Addons' LazyAdam. It is not Adam: rows that
// are not named keep their m and v, where Adam lets them decay and goes on moving the weights. Ids outside of
// the table are left out.
#pragma once

namespace gpunn::ops {

struct LazyAdamAttrs {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-7f;
};

}  // namespace gpunn::ops
