// What the activations ARE. g++ compiles this file for the CPU backend and, at T = double, for the tests;
// nvcc compiles it into the kernels. No CUDA header, no thread index: those belong to the .cu files.
#pragma once

#include <cmath>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

// An activation is `value(x)` and `slope`: the derivative in terms of the OUTPUT, so that x need not stay
// alive for backward; where that is impossible (kSlopeOfInput) in terms of the input.
struct Linear {
  static constexpr bool kSlopeOfInput = false;
  template <class T>
  GPUNN_HD static T value(T x) {
    return x;
  }
  template <class T>
  GPUNN_HD static T slope(T) {
    return T(1);
  }
};

struct Relu {
  static constexpr bool kSlopeOfInput = false;
  template <class T>
  GPUNN_HD static T value(T x) {
    return x < T(0) ? T(0) : x;  // this way round, NaN passes through
  }
  template <class T>
  GPUNN_HD static T slope(T y) {
    return y > T(0) ? T(1) : T(0);
  }
};

struct Sigmoid {
  static constexpr bool kSlopeOfInput = false;
  template <class T>
  GPUNN_HD static T value(T x) {
    using std::exp, std::abs;
    const T e = exp(-abs(x));  // never a positive argument: cannot overflow
    return (x < T(0) ? e : T(1)) / (T(1) + e);
  }
  template <class T>
  GPUNN_HD static T slope(T y) {
    return y * (T(1) - y);
  }
};

struct Tanh {
  static constexpr bool kSlopeOfInput = false;
  template <class T>
  GPUNN_HD static T value(T x) {
    using std::tanh;
    return tanh(x);
  }
  template <class T>
  GPUNN_HD static T slope(T y) {
    return T(1) - y * y;
  }
};

// x * Phi(x), by the error function: Keras's default, not the approximation by tanh.
struct Gelu {
  static constexpr bool kSlopeOfInput = true;
  template <class T>
  GPUNN_HD static T normal_cdf(T x) {
    using std::erfc;
    // By erfc, not 1 + erf: keeps its relative accuracy for large negative x.
    return T(0.5) * erfc(x * T(-0.70710678118654752440));
  }
  template <class T>
  GPUNN_HD static T value(T x) {
    return x * normal_cdf(x);
  }
  template <class T>
  GPUNN_HD static T slope(T x) {
    using std::exp;
    const T density = T(0.39894228040143267794) * exp(T(-0.5) * x * x);
    return normal_cdf(x) + x * density;
  }
};

// The approximation of the same by tanh, which GEMM libraries fuse.
struct GeluTanh {
  static constexpr bool kSlopeOfInput = true;
  template <class T>
  GPUNN_HD static T inner(T x) {
    using std::tanh;
    return tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x));
  }
  template <class T>
  GPUNN_HD static T value(T x) {
    return T(0.5) * x * (T(1) + inner(x));
  }
  template <class T>
  GPUNN_HD static T slope(T x) {
    const T t = inner(x);
    const T inner_slope = T(0.79788456080286535588) * (T(1) + T(3 * 0.044715) * x * x);
    return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * inner_slope;
  }
};

}  // namespace gpunn::kernels
