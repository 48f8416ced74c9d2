// The arithmetic of the optimizers for one parameter.
#pragma once

#include <cmath>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

template <class T>
struct SgdUpdate {
  T learning_rate, weight_decay, momentum;
  bool nesterov;
  // velocity is left alone without momentum.
  GPUNN_HD void operator()(T g, T& w, T& velocity) const {
    w -= w * (weight_decay * learning_rate);
    if (momentum == T(0)) {
      w -= learning_rate * g;
      return;
    }
    velocity = momentum * velocity - learning_rate * g;
    w += nesterov ? momentum * velocity - learning_rate * g : velocity;
  }
};

template <class T>
struct AdamUpdate {
  T learning_rate, weight_decay, rate1, rate2, epsilon;  // rate = 1 - beta
  T correction;                                          // sqrt(1 - beta2^t) / (1 - beta1^t)
  bool decoupled;
  GPUNN_HD void operator()(T g, T& w, T& m, T& v) const {
    using std::sqrt;
    if (decoupled) {
      w -= w * (weight_decay * learning_rate);
    } else {
      g += weight_decay * w;
    }
    m += (g - m) * rate1;
    v += (g * g - v) * rate2;
    w -= m * (learning_rate * correction) / (sqrt(v) + epsilon);
  }
};

// 1 - beta^t from log(beta). expm1 keeps the digits that 1 - pow(beta, t) loses in the first steps.
template <class T>
GPUNN_HD inline T one_minus_power(T log_beta, T t) {
  using std::expm1;
  return -expm1(t * log_beta);
}

// What a gradient is multiplied by to bring `norm` down to `to`; NaN when the norm is not finite, as in
// Keras.
template <class T>
GPUNN_HD inline T clip_factor(T norm, T to) {
  const T a = T(1) / norm, b = T(1) / to;
  return to * (a < b ? a : b) + (norm - norm);
}

}  // namespace gpunn::kernels
