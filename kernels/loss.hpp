// What the losses have in common.
//
// A loss kernel makes, in one pass over the data, whatever of these its pointers ask for. Rows are cut into
// chunks by shape alone: one chunk (up to 64 rows of up to 1024 columns, or 4096 elements) is one launch;
// more need loss_scratch_floats() of scratch and a second launch for the sums, where they are asked for.
#pragma once

#include "kernels/gpu.hpp"
#include "kernels/hd.hpp"

namespace gpunn::kernels {

struct LossOutputs {
  float* loss = nullptr;    // [2]: sum over rows of weight * loss; number of rows
  float* metric = nullptr;  // [2]: sum over rows of weight * metric; sum of weights
  float* probabilities =
      nullptr;  // shape of x: softmax(x) or sigmoid(x); only of the losses that compute them
  float* scratch = nullptr;
  GPUNN_HD bool wants_sums() const { return loss != nullptr || metric != nullptr; }
};

// The gradient of scale * upstream * sum over rows of weight * loss.
struct LossGradient {
  float* dx = nullptr;  // null: none
  Accumulate mode = Accumulate::overwrite;
  float scale = 1;                  // 1 / rows for the mean over the batch
  const float* upstream = nullptr;  // one float in device memory; null: 1
};

// Enough for any loss on this shape.
std::int64_t loss_scratch_floats(Matrix shape);

}  // namespace gpunn::kernels
