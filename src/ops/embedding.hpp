// embedding:           ids i32 [batch, ...], table [vocabulary, width] -> y [batch, ..., width]  (rows each)
//                      y = table[id]; an id outside the vocabulary is a DataError on the cpu, a row of NaN on
//                      a gpu
// embedding_backward:  ids, dy -> dtable [vocabulary, width]  (rows sum, accumulates)
//                      the sum of dy over the positions of each id, in the order of the positions; rows that
//                      no id names are 0; attributes EmbeddingBackwardAttrs
#pragma once

#include <cstdint>

namespace gpunn::ops {

struct EmbeddingBackwardAttrs {
  std::int64_t vocabulary = 0;
};

}  // namespace gpunn::ops
