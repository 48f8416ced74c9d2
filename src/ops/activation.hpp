// activation:           x [batch, ...] -> y, alike  (rows each)
// activation_backward:  y?, dy, x? -> dx  (rows each, accumulates)
//
// Backward is written in terms of the OUTPUT y, so that x need not stay alive; gelu alone needs x, and no y.
// Attributes of both: ActivationAttrs. softmax is an op of its own.
#pragma once

#include <string_view>

#include "gpunn/export.hpp"

namespace gpunn::ops {

// linear: x; relu: max(x, 0), where NaN stays NaN; gelu: x * Phi(x) with the exact normal distribution (erf),
// as Keras's default.
enum class Activation { linear, relu, sigmoid, tanh, gelu };

GPUNN_API std::string_view to_string(Activation activation);

struct ActivationAttrs {
  Activation kind = Activation::linear;
};

}  // namespace gpunn::ops
