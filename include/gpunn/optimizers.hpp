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
};

struct SGDOptions {
  double learning_rate = 0.01;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  std::optional<double> global_clipnorm = {};
};
GPUNN_API Optimizer SGD(SGDOptions options = {});

struct AdamOptions {
  double learning_rate = 0.001;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0.0;  // AdamW: 0.004
  std::optional<double> global_clipnorm = {};
};
GPUNN_API Optimizer Adam(AdamOptions options = {});

struct AdamWOptions {
  double learning_rate = 0.001;
  double weight_decay = 0.004;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  std::optional<double> global_clipnorm = {};
};
GPUNN_API Optimizer AdamW(AdamWOptions options = {});

}  // namespace gpunn
