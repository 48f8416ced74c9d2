// Metrics: averages over the samples of an epoch, or over the steps of a sequence that are no padding. As
// Keras's `metrics` they do not see sample weights.
#pragma once

#include <cstdint>

namespace gpunn {

// `accuracy` becomes the kind that fits the loss and the output, as in Keras, and is reported as "accuracy"
// whichever it becomes; the three kinds are reported under their own names.
enum class Metric : std::uint8_t {
  accuracy,
  binary_accuracy,
  categorical_accuracy,
  sparse_categorical_accuracy
};
inline constexpr Metric accuracy = Metric::accuracy;
inline constexpr Metric binary_accuracy = Metric::binary_accuracy;
inline constexpr Metric categorical_accuracy = Metric::categorical_accuracy;
inline constexpr Metric sparse_categorical_accuracy = Metric::sparse_categorical_accuracy;

}  // namespace gpunn
