#include "src/cpu/simd/embedding.hpp"

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

int64_t gather(EmbeddingIds ids, int64_t vocabulary, int64_t width, const float* table, float* out) {
  for (int64_t i = 0; i < ids.count; ++i) {
    const int64_t id = ids.ids[i];
    if (id < 0 || id >= vocabulary) return i;
    const float* row = table + id * width;
    float* to = out + i * width;
    for_vectors(width, [=](int64_t k, auto part) { store(to + k, load(row + k, part), part); });
  }
  return ids.count;
}

void gradient(EmbeddingIds ids, int64_t width, const float* dy, int64_t first, int64_t last, bool add,
              float* dtable) {
  if (!add) {
    for_vectors((last - first) * width,
                [=](int64_t k, auto part) { store(dtable + first * width + k, Vec{}, part); });
  }
  for (int64_t i = 0; i < ids.count; ++i) {
    const int64_t id = ids.ids[i];
    if (id < first || id >= last) continue;
    const float* from = dy + i * width;
    float* to = dtable + id * width;
    for_vectors(
        width, [=](int64_t k, auto part) { store(to + k, load(to + k, part) + load(from + k, part), part); });
  }
}

int64_t unique(EmbeddingIds ids, int32_t* slot_of, int32_t* slots, int32_t* rows) {
  int32_t count = 0;
  for (int64_t i = 0; i < ids.count; ++i) {
    int32_t& slot = slot_of[ids.ids[i]];
    if (slot < 0) {
      slot = count;
      rows[count++] = ids.ids[i];
    }
    slots[i] = slot;
  }
  for (int32_t k = 0; k < count; ++k) slot_of[rows[k]] = -1;
  return count;
}

}  // namespace

const EmbeddingKernels GPUNN_SIMD_NAME(embedding_table) = {
    .gather = gather, .gradient = gradient, .unique = unique};

}  // namespace gpunn::cpu::simd
