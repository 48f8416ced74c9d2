// reshape:  x [batch, ...] -> y [batch, row...]: the same elements, nothing is computed  (rows each, a view)
//
// Flatten is a reshape to one axis.
#pragma once

#include "gpunn/shape.hpp"

namespace gpunn::ops {

struct ReshapeAttrs {
  Shape row = {};      // the new shape without the batch; must have as many elements as a row of x
  bool whole = false;  // row is all of the new shape: for x without a batch, such as weights
};

}  // namespace gpunn::ops
