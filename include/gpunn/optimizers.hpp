// Optimizers, with Keras's names and defaults. An optimizer is one pass over all weights at once.
#pragma once

#include <cstdint>
#include <optional>

#include "gpunn/export.hpp"

namespace gpunn {

// The settings of any of them; make one with SGD(), Adam() or AdamW(). Throws UsageError (at compile) for
// settings out of range.
struct Optimizer {
  enum class Kind : std::uint8_t { sgd, adam, adamw };
  Kind kind = Kind::sgd;
  double learning_rate = 0.01;
  double momentum = 0;
  bool nesterov = false;
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  double weight_decay = 0;
  std::optional<double> global_clipnorm =
      {};  // scales all gradients so that their common norm is at most this
  bool skip_nonfinite = false;
  bool lazy_embeddings = false;
};

// What all of them have:
// - global_clipnorm, as Keras: gradients are scaled down so that the norm of all together is at most this; a
//   norm that is not finite makes every weight NaN.
// - skip_nonfinite, not Keras's: a step with a gradient that is NaN or infinite (or so large that the sum of
//   squares overflows float) changes no weight and no moment. It counts as a step all the same, also for
//   Adam's bias correction. Its loss is in the means of the epoch, so FitOptions::terminate_on_nan and the
//   warning are as ever; moving statistics of BatchNormalization and states of stateful layers do change.
//   Costs one pass over the gradients, which clipping makes anyhow. Not together with lazy_embeddings.

struct SGDOptions {
  double learning_rate = 0.01;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  std::optional<double> global_clipnorm = {};
  bool skip_nonfinite = false;
};
GPUNN_API Optimizer SGD(SGDOptions options = {});

struct AdamOptions {
  double learning_rate = 0.001;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0.0;  // AdamW: 0.004
  std::optional<double> global_clipnorm = {};
  // Not Keras's: each step updates only the rows of an Embedding whose ids are in the batch, as PyTorch's
  // SparseAdam and TensorFlow Addons' LazyAdam do. It is another algorithm than Adam: rows of rare ids keep
  // their moments and stand still until they come again, where Adam lets moments decay and goes on moving the
  // weights. A step's cost no longer grows with the vocabulary. Not together with weight_decay,
  // global_clipnorm or skip_nonfinite, nor for an Embedding that is called twice: a UsageError.
  bool lazy_embeddings = false;
  bool skip_nonfinite = false;
};
GPUNN_API Optimizer Adam(AdamOptions options = {});

struct AdamWOptions {
  double learning_rate = 0.001;
  double weight_decay = 0.004;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  std::optional<double> global_clipnorm = {};
  bool skip_nonfinite = false;
};
GPUNN_API Optimizer AdamW(AdamWOptions options = {});

}  // namespace gpunn
