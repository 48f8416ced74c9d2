// What the CPU implementations of losses and metrics share.
#pragma once

#include <limits>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {

// The vectors of classes of a slice; each counts as a row of the loss.
struct LossShape {
  explicit LossShape(const OpCall& call)
      : classes(call.inputs[0].shape[-1]),
        vectors(ops::row_elements(call.inputs[0].shape.with(-1, 1))),
        sparse(call.inputs[1].dtype == Dtype::i32),
        weighted(ops::has(call, 2)),
        vectors_per_weight(weighted && ops::row_elements(call.inputs[2].shape) > 1 ? 1 : vectors),
        scaled(ops::has(call, 3)),
        per_row(1.0f / static_cast<float>(std::max<std::int64_t>(call.inputs[0].shape[0] * vectors, 1))) {}

  std::int64_t count(const Slice& s) const { return s.rows * vectors; }
  float weight(const Slice& s, std::int64_t v) const {
    return weighted ? s.in(2)[v / vectors_per_weight] : 1.0f;
  }
  // What a vector's gradient is multiplied with: weight / rows of the batch (* dloss).
  float gradient_scale(const Slice& s, std::int64_t v) const { return weight(s, v) * batch_scale(s); }
  // The same for the vectorised kernels.
  simd::LossRows rows(const Slice& s) const {
    return {.rows = count(s),
            .width = classes,
            .weights = weighted ? s.in(2) : nullptr,
            .rows_per_weight = vectors_per_weight};
  }
  float batch_scale(const Slice& s) const { return per_row * (scaled ? s.in(3)[0] : 1.0f); }
  simd::ClassLabels labels(const Slice& s) const {
    return sparse ? simd::ClassLabels{.classes = s.in<std::int32_t>(1)}
                  : simd::ClassLabels{.distribution = s.in(1)};
  }
  // The class of a sparse label, or -1 when it is out of range.
  std::int64_t label(const Slice& s, std::int64_t v) const {
    const std::int32_t number = s.in<std::int32_t>(1)[v];
    return number >= 0 && number < classes ? number : -1;
  }

  std::int64_t classes, vectors;
  bool sparse, weighted;
  std::int64_t vectors_per_weight;
  bool scaled;
  float per_row;
};

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Writes or adds the (sum, weight) pair.
inline void put_pair(const Slice& s, float sum, float weight) {
  put(s.out(0)[0], sum, s.add(0));
  put(s.out(0)[1], weight, s.add(0));
}

// The sum of weight * row_loss(v), in double: a slice may hold many rows.
template <class RowLoss>
void put_loss(const LossShape& shape, const Slice& s, RowLoss row_loss) {
  double sum = 0;
  const std::int64_t count = shape.count(s);
  for (std::int64_t v = 0; v < count; ++v) sum += static_cast<double>(shape.weight(s, v) * row_loss(v));
  put_pair(s, static_cast<float>(sum), static_cast<float>(count));
}

// As Keras's losses on probabilities: epsilon() on either side.
inline constexpr float kClip = 1e-7f;
inline float clipped(float p) {
  return p < kClip ? kClip : p > 1.0f - kClip ? 1.0f - kClip : p;  // NaN passes through
}
inline bool is_clipped(float p) {
  return p < kClip || p > 1.0f - kClip;
}

}  // namespace gpunn::cpu
