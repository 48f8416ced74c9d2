// Adam of the rows of an embedding's table that a batch names, without a gradient of the table.
#pragma once

#include "kernels/embedding.hpp"
#include "kernels/optimizers.hpp"

namespace gpunn::kernels {

struct LazyAdamTable {
  float* table = nullptr;  // [shape.rows, shape.columns], and m and v alike
  float* m = nullptr;
  float* v = nullptr;
};

// For every id in ids[positions]: g = gradient_scale * the sum of dy[p, :] over its positions p in rising
// order, then adam() of that row, without decay. Other rows are neither read nor written; ids outside are
// left out. One launch: each block owns ranges of the table's rows and looks through all ids for them.
// scratch [positions, columns] holds the sums. positions < 2^31.
void lazy_adam(Gpu gpu, const EmbeddingShape& shape, const AdamAttributes& attributes, const StepState* state,
               const std::int32_t* ids, const float* dy, const LazyAdamTable& to, float* scratch);

}  // namespace gpunn::kernels
