// Embedding: rows of a table by token id, and the gradient of the table, summed in the order of the
// positions: the same bits every time, no atomics.
#pragma once

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct EmbeddingShape {
  std::int64_t positions = 0;  // batch * steps
  std::int64_t columns = 0;    // of the table
  std::int64_t rows = 0;       // of the table: the vocabulary
};

// y[p, :] = table[ids[p], :]; an id outside [0, rows) makes its row NaN.
void embedding_forward(Gpu gpu, const EmbeddingShape& shape, const std::int32_t* ids, const float* table,
                       float* y);

// dtable[id, :] (+)= the sum of dy[p, :] over the positions p of that id, in rising order. With overwrite the
// rows that no position names become 0. Ids outside are left out. One launch: each of up to 512 blocks owns a
// range of the table's rows and looks through all ids for them; about a microsecond for 3200 positions, more
// where one id (padding) is most of them.
void embedding_backward(Gpu gpu, const EmbeddingShape& shape, Accumulate mode, const std::int32_t* ids,
                        const float* dy, float* dtable);

}  // namespace gpunn::kernels
