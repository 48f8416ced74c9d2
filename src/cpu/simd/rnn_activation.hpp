// The two activations of a cell: `state` for candidates and LSTM's output, `gate` for the gates. What forward
// keeps of one is its value or, where the slope does not follow from that, what it was applied to. Included
// only by rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/math.hpp"
#include "src/cpu/simd/rnn_sequence.hpp"

namespace gpunn::cpu::simd {
namespace {

struct Activated {
  Vec value, slope;
};

struct DefaultActivations {
  static constexpr bool kKeepsValues = true;
  explicit DefaultActivations(const RnnShape&) {}
  GPUNN_INLINE Vec state(Vec x) const { return tanh(x); }
  GPUNN_INLINE Vec gate(Vec x) const { return sigmoid(x); }
  GPUNN_INLINE Vec kept(Vec, Vec value) const { return value; }

  GPUNN_INLINE Vec kept_gate_value(Vec kept) const { return kept; }
  GPUNN_INLINE Activated kept_gate(Vec kept) const { return {kept, fnma(kept, kept, kept)}; }
  GPUNN_INLINE Activated kept_state(Vec kept) const { return {kept, fnma(kept, kept, splat(1.0f))}; }
  GPUNN_INLINE Activated state_at(Vec x) const { return kept_state(tanh(x)); }
};

constexpr float kSeluScale = 1.05070098735548f;
constexpr float kSeluAlpha = 1.67326324235437f;

// e^x - 1 without the cancellation near 0: there tanh(x/2) = t gives 2t / (1 - t).
GPUNN_INLINE Vec expm1(Vec x) {
  const Vec t = tanh(0.5f * max(splat(-1.0f), x));
  return x > -1.0f ? 2.0f * t / (1.0f - t) : exp(x) - 1.0f;
}

GPUNN_INLINE Vec normal_probability(Vec x) {
  return 0.5f + 0.5f * erf(x * 0x1.6a09e6p-1f);
}

__attribute__((noinline)) Vec any_value(RnnActivation kind, Vec x) {
  switch (kind) {
    case RnnActivation::linear:
      return x;
    case RnnActivation::tanh:
      return tanh(x);
    case RnnActivation::sigmoid:
      return sigmoid(x);
    case RnnActivation::relu:
      return max(Vec{}, x);
    case RnnActivation::gelu:
      return x * normal_probability(x);
    case RnnActivation::silu:
      return x * sigmoid(x);
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

__attribute__((noinline)) Vec any_slope(RnnActivation kind, Vec x) {
  const Vec one = splat(1.0f);
  switch (kind) {
    case RnnActivation::linear:
      return one;
    case RnnActivation::tanh: {
      const Vec y = tanh(x);
      return fnma(y, y, one);
    }
    case RnnActivation::sigmoid: {
      const Vec y = sigmoid(x);
      return fnma(y, y, y);
    }
    case RnnActivation::relu:
      return x > 0.0f ? one : Vec{};
    case RnnActivation::gelu:
      return fma(x, exp(-0.5f * x * x) * 0.398942280f, normal_probability(x));
    case RnnActivation::silu: {
      const Vec y = sigmoid(x);
      return y * fma(x, 1.0f - y, one);
    }
    case RnnActivation::hard_sigmoid:
      return abs(x) < 3.0f ? splat(1.0f / 6.0f) : Vec{};
    case RnnActivation::elu:
      return x > 0.0f ? one : exp(x);
    case RnnActivation::selu:
      return kSeluScale * (x > 0.0f ? one : kSeluAlpha * exp(x));
    case RnnActivation::softplus:
      return sigmoid(x);
    case RnnActivation::softsign: {
      const Vec root = 1.0f / (1.0f + abs(x));
      return root * root;
    }
    case RnnActivation::exponential:
      return exp(x);
  }
  return one;
}

struct AnyActivations {
  static constexpr bool kKeepsValues = false;
  RnnActivation state_kind, gate_kind;
  explicit AnyActivations(const RnnShape& s) : state_kind(s.activation), gate_kind(s.recurrent_activation) {}
  GPUNN_INLINE Vec state(Vec x) const { return any_value(state_kind, x); }
  GPUNN_INLINE Vec gate(Vec x) const { return any_value(gate_kind, x); }
  GPUNN_INLINE Vec kept(Vec x, Vec) const { return x; }

  GPUNN_INLINE Vec kept_gate_value(Vec kept) const { return gate(kept); }
  GPUNN_INLINE Activated kept_gate(Vec kept) const { return {gate(kept), any_slope(gate_kind, kept)}; }
  GPUNN_INLINE Activated kept_state(Vec kept) const { return {state(kept), any_slope(state_kind, kept)}; }
  GPUNN_INLINE Activated state_at(Vec x) const { return kept_state(x); }
};

}  // namespace
}  // namespace gpunn::cpu::simd
