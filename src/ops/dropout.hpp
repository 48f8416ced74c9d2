// dropout:  x [batch, ...] -> y: each element is 0 with probability `rate`, else x / (1 - rate)
//  (rows each, accumulates)
//
// What is dropped depends on (StepState::seed, stream, StepState::step, index of the element in the whole
// batch) alone: an element stays when uniform01 >= rate. The gradient is the same op on dy, so no mask is
// stored. rate 0 is the identity.
#pragma once

#include <cstdint>

namespace gpunn::ops {

struct DropoutAttrs {
  float rate = 0.5f;         // [0, 1)
  std::uint32_t stream = 0;  // another number for each dropout of a model
};

}  // namespace gpunn::ops
