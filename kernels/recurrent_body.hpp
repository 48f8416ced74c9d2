// One time step of one unit of a SimpleRNN, a GRU (Keras's reset_after) and an LSTM: what the gates do with
// the sums that reach them. x: the input's share (with its bias), s: the state's share (the GRU: with its own
// bias). `a`: the activations, and what is kept of them for backward.
#pragma once

#include "kernels/activation.hpp"

namespace gpunn::kernels {

// tanh for candidates, sigmoid for gates: their slopes follow from their values, so these are kept.
struct DefaultActivations {
  static constexpr bool kKeepsValues = true;
  template <class T>
  GPUNN_HD T state(T x) const {
    return Tanh::value(x);
  }
  template <class T>
  GPUNN_HD T gate(T x) const {
    return Sigmoid::value(x);
  }
  template <class T>
  GPUNN_HD T kept(T, T value) const {
    return value;
  }
  template <class T>
  GPUNN_HD T kept_value(T kept, bool) const {
    return kept;
  }
  template <class T>
  GPUNN_HD T kept_slope(T kept, bool is_gate) const {
    return is_gate ? Sigmoid::slope(kept) : Tanh::slope(kept);
  }
};

// Any pair, chosen while the kernel runs: what they are applied to is kept.
struct AnyActivations {
  static constexpr bool kKeepsValues = false;
  Activation state_kind, gate_kind;

  template <class T>
  GPUNN_HD static T value_of(Activation kind, T x) {
    switch (kind) {
      case Activation::linear:
        return x;
      case Activation::relu:
        return Relu::value(x);
      case Activation::sigmoid:
        return Sigmoid::value(x);
      case Activation::tanh:
        return Tanh::value(x);
      case Activation::gelu:
        return Gelu::value(x);
      case Activation::gelu_tanh:
        break;
    }
    return GeluTanh::value(x);
  }
  template <class T>
  GPUNN_HD static T slope_at(Activation kind, T x) {
    switch (kind) {
      case Activation::linear:
        return T(1);
      case Activation::relu:
        return Relu::slope(x);
      case Activation::sigmoid:
        return Sigmoid::slope(Sigmoid::value(x));
      case Activation::tanh:
        return Tanh::slope(Tanh::value(x));
      case Activation::gelu:
        return Gelu::slope(x);
      case Activation::gelu_tanh:
        break;
    }
    return GeluTanh::slope(x);
  }
  template <class T>
  GPUNN_HD T state(T x) const {
    return value_of(state_kind, x);
  }
  template <class T>
  GPUNN_HD T gate(T x) const {
    return value_of(gate_kind, x);
  }
  template <class T>
  GPUNN_HD T kept(T x, T) const {
    return x;
  }
  template <class T>
  GPUNN_HD T kept_value(T kept, bool is_gate) const {
    return value_of(is_gate ? gate_kind : state_kind, kept);
  }
  template <class T>
  GPUNN_HD T kept_slope(T kept, bool is_gate) const {
    return slope_at(is_gate ? gate_kind : state_kind, kept);
  }
};

// The state around a step that is walked back.
template <class T>
struct StatesAround {
  T h_before = 0, h = 0, c_before = 0, c = 0;
};

// h' = a(x + s)
struct Simple {
  static constexpr int kGates = 1;
  static constexpr bool kOneGradient = true;  // dx and ds are the same
  static constexpr bool kHasCell = false;
  template <class A>
  static constexpr int kKept = A::kKeepsValues ? 0 : 1;  // the value is h'
  template <class A, class T>
  GPUNN_HD static void forward(const A& a, const T (&x)[1], const T (&s)[1], T& h, T&, T (&kept)[4]) {
    h = a.state(x[0] + s[0]);
    kept[0] = a.kept(x[0] + s[0], h);
  }
  template <class A, class T>
  GPUNN_HD static T backward(const A& a, T dh, T&, const StatesAround<T>& at, const T (&kept)[4], T (&dx)[1],
                             T (&ds)[1]) {
    dx[0] = ds[0] = dh * a.kept_slope(A::kKeepsValues ? at.h : kept[0], false);
    return T(0);
  }
};

// Gates z r g:  z = s(xz + sz)  r = s(xr + sr)  g = tanh(xg + r * sg)  h' = z * h + (1 - z) * g
struct Gru {
  static constexpr int kGates = 3;
  static constexpr bool kOneGradient = false;
  static constexpr bool kHasCell = false;
  template <class A>
  static constexpr int kKept = 4;  // z r g sg
  template <class A, class T>
  GPUNN_HD static void forward(const A& a, const T (&x)[3], const T (&s)[3], T& h, T&, T (&kept)[4]) {
    const T z = a.gate(x[0] + s[0]), r = a.gate(x[1] + s[1]), sum = x[2] + r * s[2], g = a.state(sum);
    h = z * h + (T(1) - z) * g;
    kept[0] = a.kept(x[0] + s[0], z), kept[1] = a.kept(x[1] + s[1], r);
    kept[2] = a.kept(sum, g), kept[3] = s[2];
  }
  // dh: of h'. Returns what flows to h past the gates; dx and ds: gradients of the sums.
  template <class A, class T>
  GPUNN_HD static T backward(const A& a, T dh, T&, const StatesAround<T>& at, const T (&kept)[4], T (&dx)[3],
                             T (&ds)[3]) {
    const T z = a.kept_value(kept[0], true), r = a.kept_value(kept[1], true),
            g = a.kept_value(kept[2], false);
    dx[0] = dh * (at.h_before - g) * a.kept_slope(kept[0], true);
    dx[2] = dh * (T(1) - z) * a.kept_slope(kept[2], false);
    dx[1] = dx[2] * kept[3] * a.kept_slope(kept[1], true);
    ds[0] = dx[0], ds[1] = dx[1], ds[2] = dx[2] * r;
    return dh * z;
  }
};

// Gates i f g o, each of the sum x + s:  c' = f * c + i * g  h' = o * tanh(c')
struct Lstm {
  static constexpr int kGates = 4;
  static constexpr bool kOneGradient = true;
  static constexpr bool kHasCell = true;
  template <class A>
  static constexpr int kKept = 4;  // i f g o
  template <class A, class T>
  GPUNN_HD static void forward(const A& a, const T (&x)[4], const T (&s)[4], T& h, T& c, T (&kept)[4]) {
    const T i = a.gate(x[0] + s[0]), f = a.gate(x[1] + s[1]), g = a.state(x[2] + s[2]),
            o = a.gate(x[3] + s[3]);
    c = f * c + i * g;
    h = o * a.state(c);
    kept[0] = a.kept(x[0] + s[0], i), kept[1] = a.kept(x[1] + s[1], f);
    kept[2] = a.kept(x[2] + s[2], g), kept[3] = a.kept(x[3] + s[3], o);
  }
  // dc: of c' from the step behind; becomes that of c.
  template <class A, class T>
  GPUNN_HD static T backward(const A& a, T dh, T& dc, const StatesAround<T>& at, const T (&kept)[4],
                             T (&dx)[4], T (&ds)[4]) {
    const T i = a.kept_value(kept[0], true), f = a.kept_value(kept[1], true),
            g = a.kept_value(kept[2], false), o = a.kept_value(kept[3], true), t = a.state(at.c);
    const T flow = dc + dh * o * a.kept_slope(a.kept(at.c, t), false);
    dx[0] = flow * g * a.kept_slope(kept[0], true), dx[1] = flow * at.c_before * a.kept_slope(kept[1], true);
    dx[2] = flow * i * a.kept_slope(kept[2], false), dx[3] = dh * t * a.kept_slope(kept[3], true);
    for (int k = 0; k < 4; ++k) ds[k] = dx[k];
    dc = flow * f;
    return T(0);
  }
};

}  // namespace gpunn::kernels
