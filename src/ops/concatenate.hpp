// concatenate:           x0, x1, ... -> y, joined along `axis`  (rows each)
//                        attributes ConcatenateAttrs
// concatenate_backward:  dy -> the part [begin, begin + size) of it along `axis`  (rows each, accumulates)
//                        attributes ConcatenateBackwardAttrs
#pragma once

#include <cstdint>

namespace gpunn::ops {

struct ConcatenateAttrs {
  int axis = -1;  // not the batch; negative ones count from the end
};

struct ConcatenateBackwardAttrs {
  int axis = -1;
  std::int64_t begin = 0;
  std::int64_t size = 0;
};

}  // namespace gpunn::ops
