// Value, slope and metric of one element of the elementwise losses: x is what the network says, t the target.
#pragma once

#include <cmath>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

// Of sigmoid(x): max(x, 0) - x * t + log(1 + exp(-|x|)) neither overflows nor takes a logarithm of a rounded
// probability.
struct SigmoidCrossEntropy {
  static constexpr bool kHasProbability = true;
  template <class T>
  GPUNN_HD static T probability(T x) {
    using std::abs, std::exp;
    const T e = exp(-abs(x));
    return (x < T(0) ? e : T(1)) / (T(1) + e);
  }
  template <class T>
  GPUNN_HD static T value(T x, T t) {
    using std::abs, std::exp, std::log1p;
    return (x < T(0) ? T(0) : x) - x * t + log1p(exp(-abs(x)));
  }
  template <class T>
  GPUNN_HD static T slope(T x, T t) {
    return probability(x) - t;
  }
  template <class T>
  GPUNN_HD static T metric(T x, T t) {
    return (probability(x) > T(0.5)) == (t > T(0.5)) ? T(1) : T(0);
  }
};

// Of a given probability, clipped to [1e-7, 1 - 1e-7] as in Keras; nothing flows back where clipped.
struct BinaryCrossEntropy {
  static constexpr bool kHasProbability = false;
  template <class T>
  GPUNN_HD static T clipped(T p) {
    constexpr T kClip = T(1e-7f);
    return p < kClip ? kClip : (p > T(1) - kClip ? T(1) - kClip : p);
  }
  template <class T>
  GPUNN_HD static T value(T p, T t) {
    using std::log;
    const T q = clipped(p);
    return -(t * log(q) + (T(1) - t) * log(T(1) - q));
  }
  template <class T>
  GPUNN_HD static T slope(T p, T t) {
    const T q = clipped(p);
    return q == p || p != p ? (q - t) / (q * (T(1) - q)) : T(0);
  }
  template <class T>
  GPUNN_HD static T metric(T p, T t) {
    return (p > T(0.5)) == (t > T(0.5)) ? T(1) : T(0);
  }
};

struct SquaredError {
  static constexpr bool kHasProbability = false;
  template <class T>
  GPUNN_HD static T value(T x, T t) {
    return (x - t) * (x - t);
  }
  template <class T>
  GPUNN_HD static T slope(T x, T t) {
    return T(2) * (x - t);
  }
  template <class T>
  GPUNN_HD static T metric(T x, T t) {
    using std::abs;
    return abs(x - t);
  }
};

}  // namespace gpunn::kernels
