// reshape:  x [batch, ...] -> y [batch, row...]: the same elements, nothing is computed  (rows each, a view)
//
// Flatten is a reshape to one axis. With `steps`, as many rows of each sample change between the second axis
// and the first:
//   steps > 0:  x [batch, steps, ...] -> y [batch * steps, row...]
//   steps < 0:  x [batch * -steps, ...] -> y [batch, row...], where row begins with the steps
#pragma once

#include <cstdint>

#include "gpunn/shape.hpp"

namespace gpunn::ops {

struct ReshapeAttrs {
  Shape row = {};      // the new shape without the batch; must have as many elements as a row of x
  bool whole = false;  // row is all of the new shape: for x without a batch, such as weights
  std::int64_t steps = 0;
};

}  // namespace gpunn::ops
