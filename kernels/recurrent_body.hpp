// One time step of one unit of a GRU (Keras's reset_after) and of an LSTM: what the gates do with the sums
// that reach them. x: the input's share (with its bias), s: the state's share (the GRU: with its own bias).
#pragma once

#include "kernels/activation_body.hpp"

namespace gpunn::kernels {

// Gates z r g:  z = s(xz + sz)  r = s(xr + sr)  g = tanh(xg + r * sg)  h' = z * h + (1 - z) * g
struct Gru {
  static constexpr int kGates = 3;
  static constexpr bool kHasCell = false;
  // kept: z r g sg
  template <class T>
  GPUNN_HD static void forward(const T (&x)[3], const T (&s)[3], T& h, T&, T (&kept)[4]) {
    const T z = Sigmoid::value(x[0] + s[0]), r = Sigmoid::value(x[1] + s[1]),
            g = Tanh::value(x[2] + r * s[2]);
    h = z * h + (T(1) - z) * g;
    kept[0] = z, kept[1] = r, kept[2] = g, kept[3] = s[2];
  }
  // dh: of h'. Returns what flows to h past the gates; dx and ds: gradients of the sums.
  template <class T>
  GPUNN_HD static T backward(T dh, T&, T h, T, T, const T (&kept)[4], T (&dx)[3], T (&ds)[3]) {
    const T z = kept[0], r = kept[1], g = kept[2];
    dx[0] = dh * (h - g) * Sigmoid::slope(z);
    dx[2] = dh * (T(1) - z) * Tanh::slope(g);
    dx[1] = dx[2] * kept[3] * Sigmoid::slope(r);
    ds[0] = dx[0], ds[1] = dx[1], ds[2] = dx[2] * r;
    return dh * z;
  }
};

// Gates i f g o, each of the sum x + s:  c' = f * c + i * g  h' = o * tanh(c')
struct Lstm {
  static constexpr int kGates = 4;
  static constexpr bool kHasCell = true;
  // kept: i f g o
  template <class T>
  GPUNN_HD static void forward(const T (&x)[4], const T (&s)[4], T& h, T& c, T (&kept)[4]) {
    kept[0] = Sigmoid::value(x[0] + s[0]), kept[1] = Sigmoid::value(x[1] + s[1]);
    kept[2] = Tanh::value(x[2] + s[2]), kept[3] = Sigmoid::value(x[3] + s[3]);
    c = kept[1] * c + kept[0] * kept[2];
    h = kept[3] * Tanh::value(c);
  }
  // dc: of c' from the step behind; becomes that of c. c_before, c: before and after the step.
  template <class T>
  GPUNN_HD static T backward(T dh, T& dc, T, T c_before, T c, const T (&kept)[4], T (&dx)[4], T (&ds)[4]) {
    const T i = kept[0], f = kept[1], g = kept[2], o = kept[3], t = Tanh::value(c);
    const T flow = dc + dh * o * Tanh::slope(t);
    dx[0] = flow * g * Sigmoid::slope(i), dx[1] = flow * c_before * Sigmoid::slope(f);
    dx[2] = flow * i * Tanh::slope(g), dx[3] = dh * t * Sigmoid::slope(o);
    for (int k = 0; k < 4; ++k) ds[k] = dx[k];
    dc = flow * f;
    return T(0);
  }
};

}  // namespace gpunn::kernels
