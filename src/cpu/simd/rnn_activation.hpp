// The two activations of a cell: `state` for candidates and LSTM's output, `gate` for the gates; each with
// its slope in terms of its value. Included only by rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/math.hpp"
#include "src/cpu/simd/rnn_sequence.hpp"

namespace gpunn::cpu::simd {
namespace {

struct DefaultActivations {
  explicit DefaultActivations(const RnnShape&) {}
  GPUNN_INLINE Vec state(Vec x) const { return tanh(x); }
  GPUNN_INLINE Vec gate(Vec x) const { return sigmoid(x); }
  GPUNN_INLINE Vec state_slope(Vec y) const { return fnma(y, y, splat(1.0f)); }
  GPUNN_INLINE Vec gate_slope(Vec y) const { return fnma(y, y, y); }
};

constexpr float kSeluScale = 1.05070098735548f;
constexpr float kSeluAlpha = 1.67326324235437f;

// e^x - 1 without the cancellation near 0: there tanh(x/2) = t gives 2t / (1 - t).
GPUNN_INLINE Vec expm1(Vec x) {
  const Vec t = tanh(0.5f * max(splat(-1.0f), x));
  return x > -1.0f ? 2.0f * t / (1.0f - t) : exp(x) - 1.0f;
}

Vec any_activation(RnnActivation kind, Vec x) {
  switch (kind) {
    case RnnActivation::linear:
      return x;
    case RnnActivation::tanh:
      return tanh(x);
    case RnnActivation::sigmoid:
      return sigmoid(x);
    case RnnActivation::relu:
      return max(Vec{}, x);
    case RnnActivation::hard_sigmoid:
      return clamp(x / 6.0f + 0.5f, 0.0f, 1.0f);
    case RnnActivation::elu:
      return x > 0.0f ? x : expm1(x);
    case RnnActivation::selu:
      return kSeluScale * (x > 0.0f ? x : kSeluAlpha * expm1(x));
    case RnnActivation::softplus:
      return max(Vec{}, x) + log1p_of_positive(exp(-abs(x)));
    case RnnActivation::softsign:
      return x / (1.0f + abs(x));
    case RnnActivation::exponential:
      return exp(x);
  }
  return x;
}

Vec any_slope(RnnActivation kind, Vec y) {
  const Vec one = splat(1.0f);
  switch (kind) {
    case RnnActivation::linear:
      return one;
    case RnnActivation::tanh:
      return fnma(y, y, one);
    case RnnActivation::sigmoid:
      return fnma(y, y, y);
    case RnnActivation::relu:
      return y > 0.0f ? one : Vec{};
    case RnnActivation::hard_sigmoid:
      return (y > 0.0f) & (y < 1.0f) ? splat(1.0f / 6.0f) : Vec{};
    case RnnActivation::elu:
      return y > 0.0f ? one : y + 1.0f;
    case RnnActivation::selu:
      return y > 0.0f ? splat(kSeluScale) : y + kSeluScale * kSeluAlpha;
    case RnnActivation::softplus:
      return -expm1(-y);
    case RnnActivation::softsign: {
      const Vec left = 1.0f - abs(y);
      return left * left;
    }
    case RnnActivation::exponential:
      return y;
  }
  return one;
}

struct AnyActivations {
  RnnActivation state_kind, gate_kind;
  explicit AnyActivations(const RnnShape& s) : state_kind(s.activation), gate_kind(s.recurrent_activation) {}
  GPUNN_INLINE Vec state(Vec x) const { return any_activation(state_kind, x); }
  GPUNN_INLINE Vec gate(Vec x) const { return any_activation(gate_kind, x); }
  GPUNN_INLINE Vec state_slope(Vec y) const { return any_slope(state_kind, y); }
  GPUNN_INLINE Vec gate_slope(Vec y) const { return any_slope(gate_kind, y); }
};

}  // namespace
}  // namespace gpunn::cpu::simd
