// binary:      a, b -> y, broadcast by numpy's rules; attributes BinaryAttrs  (rows each)
// binary_backward:  dy, a, b -> the share of one operand, before reduction  (rows each)
//              attributes BinaryBackwardAttrs
// reduce_each: x [batch, ...] -> y: sums x over the axes in which the target is 1 or missing; the batch stays
//              attributes ReduceAttrs  (rows each, accumulates)
// reduce_sum:  the same over the batch too: y has no batch axis  (rows sum, accumulates)
//
// Of a batched operand the first axis is the batch, and it has the rank of the result. Gradients flow to
// operands of the result's shape directly, to others through reduce_each (batched) or reduce_sum.
#pragma once

#include "gpunn/shape.hpp"

namespace gpunn::ops {

enum class Binary { add, subtract, multiply, divide, maximum, minimum };

struct BinaryAttrs {
  Binary kind = Binary::add;
};

// The gradient for operand `operand` (0 = a, 1 = b). maximum and minimum send dy to the operand that won, and
// half of it to each on a tie or where either is NaN.
struct BinaryBackwardAttrs {
  Binary kind = Binary::add;
  int operand = 0;
};

struct ReduceAttrs {
  Shape target = {};  // reduce_each: with the batch; reduce_sum: without
};

}  // namespace gpunn::ops
