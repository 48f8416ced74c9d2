// Activations of one vector, for kernels that apply them while they store.
#pragma once

#include "src/cpu/simd/activation.hpp"
#include "src/cpu/simd/math.hpp"

namespace gpunn::cpu::simd {
namespace {

struct Linear {
  static GPUNN_INLINE Vec value(Vec x) { return x; }
  static GPUNN_INLINE Vec backward(Vec, Vec dy) { return dy; }
};
struct Relu {
  static GPUNN_INLINE Vec value(Vec x) { return max(Vec{}, x); }
  static GPUNN_INLINE Vec backward(Vec y, Vec dy) { return y > 0.0f ? dy : Vec{}; }
};
struct Sigmoid {
  static GPUNN_INLINE Vec value(Vec x) { return sigmoid(x); }
  static GPUNN_INLINE Vec backward(Vec y, Vec dy) { return dy * (y * (1.0f - y)); }
};
struct Tanh {
  static GPUNN_INLINE Vec value(Vec x) { return tanh(x); }
  static GPUNN_INLINE Vec backward(Vec y, Vec dy) { return dy * (1.0f - y * y); }
};
struct Gelu {  // x Phi(x), exactly: no tanh approximation
  static GPUNN_INLINE Vec value(Vec x) { return (0.5f * x) * (1.0f + erf(x * 0x1.6a09e6p-1f)); }
  static GPUNN_INLINE Vec backward(Vec x, Vec dy) {
    const Vec density = exp(-0.5f * x * x) * 0.398942280f;  // 1/sqrt(2 pi)
    return dy * fma(x, density, 0.5f + 0.5f * erf(x * 0x1.6a09e6p-1f));
  }
};

template <class F>
GPUNN_INLINE void with_activation(Activation act, F f) {
  switch (act) {
    case Activation::linear:
      return f(Linear{});
    case Activation::relu:
      return f(Relu{});
    case Activation::sigmoid:
      return f(Sigmoid{});
    case Activation::tanh:
      return f(Tanh{});
    case Activation::gelu:
      return f(Gelu{});
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
