// Activations over flat arrays, and the elementary functions they are made of. Outputs may be the inputs.
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

enum class Activation : std::uint8_t { linear, relu, sigmoid, tanh, gelu };

// Whether the slope can be had from the output y alone. gelu's needs its input x.
constexpr bool slope_from_output(Activation a) {
  return a != Activation::gelu;
}

struct ActivationKernels {
  // y = act(x). NaN stays NaN, in relu too.
  void (*forward)(Activation act, std::int64_t n, const float* x, float* y);
  // dx (+)= dy * act'(.), where `kept` is the output y; for gelu the input x. relu's slope at 0 is 0.
  void (*backward)(Activation act, std::int64_t n, const float* kept, const float* dy, float* dx, bool add);

  void (*exp)(std::int64_t n, const float* x, float* y);
  void (*log)(std::int64_t n, const float* x, float* y);
  void (*log1p)(std::int64_t n, const float* x, float* y);  // REQUIRES: x >= 0
  void (*erf)(std::int64_t n, const float* x, float* y);
};

GPUNN_SIMD_TABLES(ActivationKernels, activation_table)

}  // namespace gpunn::cpu::simd
