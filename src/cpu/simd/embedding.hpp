// Embedding: rows of a table [vocabulary, width], picked by ids.
//
// The gradient of a row is the sum over the positions that picked it, in the order of the positions: any cut
// of the table into ranges of rows, done by any thread, gives the same bits. A task for a range looks at all
// ids and skips the others' rows; that costs about a nanosecond per id, less than sorting them first.
//
// For an optimizer that updates only the rows a batch has touched: unique() numbers them, and gradient() with
// those slots in place of the ids makes a compact gradient [unique rows, width].
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct EmbeddingIds {
  const std::int32_t* ids = nullptr;  // [count]
  std::int64_t count = 0;
};

struct EmbeddingKernels {
  // out[i] = table[ids[i]]. Returns the position of the first id outside [0, vocabulary), and stops there;
  // count if there is none.
  std::int64_t (*gather)(EmbeddingIds ids, std::int64_t vocabulary, std::int64_t width, const float* table,
                         float* out);

  // Rows [first, last) of dtable [.., width]: dtable[v] (+)= sum of dy[i] over the positions i with ids[i] ==
  // v. Without `add`, rows that no id picks become zeros. Ids outside the range are left to others.
  void (*gradient)(EmbeddingIds ids, std::int64_t width, const float* dy, std::int64_t first,
                   std::int64_t last, bool add, float* dtable);

  // Numbers the distinct ids in the order in which they first come: slots[i] is the number of ids[i],
  // rows[slot] its id; both have room for `count`. Returns how many there are. slot_of [vocabulary] must hold
  // -1 everywhere, and does again afterwards. REQUIRES: ids within the vocabulary.
  std::int64_t (*unique)(EmbeddingIds ids, std::int32_t* slot_of, std::int32_t* slots, std::int32_t* rows);
};

GPUNN_SIMD_TABLES(EmbeddingKernels, embedding_table)

}  // namespace gpunn::cpu::simd
