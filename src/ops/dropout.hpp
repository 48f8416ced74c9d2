// dropout:  x [batch, ...] -> y: each element is 0 with probability `rate`, else x / (1 - rate)
//  (rows each, accumulates)
// dropout_mask:  x [batch, ...] -> y [batch, row...]: dropout of ones. Of x only the batch matters; nothing
//  flows back; attributes DropoutMaskAttrs  (rows each)
//
// What is dropped depends on (StepState::seed, stream, StepState::step, index of the element in the whole
// batch) alone: an element stays when uniform01 >= rate. The gradient is the same op on dy, so no mask is
// stored. rate 0 is the identity.
#pragma once

#include <cstdint>

#include "gpunn/shape.hpp"

namespace gpunn::ops {

struct DropoutAttrs {
  float rate = 0.5f;         // [0, 1)
  std::uint32_t stream = 0;  // another number for each dropout of a model
};

struct DropoutMaskAttrs {
  DropoutAttrs dropout = {};
  Shape row = {};  // of the mask, without the batch
};

}  // namespace gpunn::ops
