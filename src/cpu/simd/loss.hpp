// Losses with the activation before them, by rows: softmax + cross-entropy, sigmoid + binary cross-entropy,
// squared error.
//
// Forward functions return the sum over the rows of weight * row loss, added in the order of the rows.
// Backward functions write scale * weight * d(row loss); `scale` is 1 / rows of the whole batch, times what
// flows in from above.
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct LossRows {
  std::int64_t rows = 0, width = 0;  // width: classes, or outputs
  const float* weights = nullptr;    // [rows / rows_per_weight]; null: all 1
  std::int64_t rows_per_weight = 1;
};

// What the right answer is: class numbers, or a distribution over the classes. One of the two is null.
struct ClassLabels {
  const std::int32_t* classes = nullptr;  // [rows]; one out of range makes its row's loss and gradient NaN
  const float* distribution = nullptr;    // [rows, width]
};

struct LossKernels {
  // y = softmax(x) over rows of `width`; the largest x of a row is subtracted first. dx (+)= y (dy - sum(y
  // dy)).
  void (*softmax)(std::int64_t rows, std::int64_t width, const float* x, float* y);
  void (*softmax_backward)(std::int64_t rows, std::int64_t width, const float* y, const float* dy, float* dx,
                           bool add);

  // loss = sum(label) log(sum(e^x)) - sum(label x); probabilities = softmax(x).
  double (*softmax_cross_entropy)(const LossRows& r, const float* logits, ClassLabels labels,
                                  float* probabilities);
  void (*softmax_cross_entropy_backward)(const LossRows& r, const float* probabilities, ClassLabels labels,
                                         float scale, float* dlogits, bool add);

  // A row's loss is the mean over its outputs of max(z, 0) - z label + log(1 + e^-|z|); probabilities =
  // sigmoid(z).
  double (*sigmoid_cross_entropy)(const LossRows& r, const float* logits, const float* labels,
                                  float* probabilities);
  void (*sigmoid_cross_entropy_backward)(const LossRows& r, const float* probabilities, const float* labels,
                                         float scale, float* dlogits, bool add);

  // A row's loss is the mean over its outputs of (prediction - label)^2.
  double (*mean_squared_error)(const LossRows& r, const float* predictions, const float* labels);
  void (*mean_squared_error_backward)(const LossRows& r, const float* predictions, const float* labels,
                                      float scale, float* dpredictions, bool add);

  // The sum of weight * (share of a row's probabilities that are on their label's side of 0.5).
  double (*binary_hits)(const LossRows& r, const float* probabilities, const float* labels);

  // out[row] = where the row's largest element is: the first of equal ones; NaN is never larger. REQUIRES:
  // width > 0.
  void (*argmax)(std::int64_t rows, std::int64_t width, const float* x, std::int32_t* out);
};

GPUNN_SIMD_TABLES(LossKernels, loss_table)

}  // namespace gpunn::cpu::simd
