// Losses, with Keras's names, arguments and semantics.
//
// A loss is computed per sample (averaged over a sample's own elements), multiplied by the sample's weight,
// summed, and divided by the number of samples in the batch: Keras's "sum_over_batch_size". `softmax` before
// a categorical and `sigmoid` before the binary cross-entropy are computed together with it, from logits, so
// that saturated outputs keep exact losses and gradients.
//
// Where the output is a sequence each step counts like a sample; a sample's weight is that of all its steps.
// Where it has a mask (layers.hpp) steps of padding are left out, and the batch's loss is the sum over its
// real steps divided by their number; nothing but padding has the loss 0. Over an epoch, batches count by
// their samples, as in Keras.
#pragma once

#include <cstdint>

#include "gpunn/export.hpp"

namespace gpunn {

struct Loss {
  enum class Kind : std::uint8_t {
    none,
    mean_squared_error,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy
  };
  Kind kind = Kind::none;
  bool from_logits = false;    // the model's output is before softmax or sigmoid
  double label_smoothing = 0;  // categorical and binary
};

struct CrossentropyOptions {
  bool from_logits = false;
  double label_smoothing = 0;  // targets become y (1 - s) + s / classes; binary: y (1 - s) + s / 2
};
struct SparseCrossentropyOptions {
  bool from_logits = false;
};

GPUNN_API Loss MeanSquaredError();
GPUNN_API Loss BinaryCrossentropy(CrossentropyOptions options = {});       // targets in [0, 1]
GPUNN_API Loss CategoricalCrossentropy(CrossentropyOptions options = {});  // targets like the output
GPUNN_API Loss SparseCategoricalCrossentropy(SparseCrossentropyOptions options = {});  // class numbers

}  // namespace gpunn
