// Elementary functions over one vector, for the *.simd.cpp sources. Largest errors, found by the tests over
// samples of all floats, in units of the last place against libm in double: exp 1.1, log 1.1, log1p 2, tanh
// 3, sigmoid 2.5, erf 3. NaN gives NaN, infinities give limits, results that are denormal in float are
// rounded to it, as in libm.
//
// Polynomials are minimax fits of our own, by weighted least squares over Chebyshev nodes with the weights
// re-estimated.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

constexpr float kLn2High = 0x1.62e4p-1f;  // 15 bits: its product with an exponent is exact
constexpr float kLn2Low = 1.42860677e-6f;

// c[0] + c[1] x + ... by Horner's rule.
template <int N>
GPUNN_INLINE Vec polynomial(Vec x, const float (&c)[N]) {
  Vec sum = splat(c[N - 1]);
  GPUNN_UNROLL
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, splat(c[i]));
  return sum;
}

// 2^n for whole n in [-126, 127].
GPUNN_INLINE Vec power_of_two(VecI n) {
  return as_float((VecI)(((VecU)n + 127u) << 23));
}

// x = n ln 2 + r with |r| <= ln(2)/2, for |x| < 2^15.
struct Reduced {
  Vec r, n;
  VecI n_int;
};
GPUNN_INLINE Reduced reduce_to_ln2(Vec x) {
  constexpr float kRound = 0x1.8p23f;  // adding it rounds to a whole number, whose bits stand in the mantissa
  const Vec shifted = fma(x, splat(0x1.715476p0f), splat(kRound));
  const Vec n = shifted - kRound;
  return {fnma(n, splat(kLn2Low), fnma(n, splat(kLn2High), x)), n,
          (VecI)((VecU)as_int(shifted) - (VecU)as_int(splat(kRound)))};
}

// e^r - 1 for |r| <= ln(2)/2, relatively exact near 0.
GPUNN_INLINE Vec expm1_reduced(Vec r) {
  const float c[] = {0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558f4p-5f, 0x1.123a6ep-7f, 0x1.6a233cp-10f};
  return fma(r * r, polynomial(r, c), r);
}

GPUNN_INLINE Vec exp(Vec x) {
  const Reduced a = reduce_to_ln2(clamp(x, -104.0f, 89.0f));  // beyond: 0 and infinity
  const Vec y = expm1_reduced(a.r) + 1.0f;
#if GPUNN_LANES == 16
  return (Vec)_mm512_maskz_scalef_ps(kAllLanes, (__m512)y, (__m512)a.n);
#else
  const VecI half = a.n_int >> 1;  // in two steps, because 2^n alone may be no float
  return y * power_of_two(half) * power_of_two(a.n_int - half);
#endif
}

GPUNN_INLINE Vec log(Vec x) {
  const float c[] = {0x1.555548p-2f,  -0x1.000006p-2f, 0x1.99a4b6p-3f,  -0x1.555c4cp-3f, 0x1.23375cp-3f,
                     -0x1.fc221ep-4f, 0x1.e6f126p-4f,  -0x1.de3bc8p-4f, 0x1.1455b4p-4f};
  const VecI tiny = x < 0x1p-126f;
  const VecI bits = as_int(tiny ? x * 0x1p23f : x);
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
  // Unsigned differences: those of negative x and of NaN wrap.
  const VecI e = (VecI)((VecU)bits - 0x3f3504f3u) >> 23;
  const Vec f = as_float((VecI)((VecU)bits - (VecU)(e << 23))) - 1.0f;
  const Vec exponent = __builtin_convertvector(e + (tiny & -23), Vec);
  const Vec f2 = f * f;
  Vec y = fma(exponent, splat(kLn2Low), f2 * f * polynomial(f, c));
  y = fma(f2, splat(-0.5f), y) + f;
  y = fma(exponent, splat(kLn2High), y);
  y = x < kInfinity ? y : x;  // infinity and NaN stay
  y = x == 0.0f ? splat(-kInfinity) : y;
  return x < 0.0f ? splat(__builtin_nanf("")) : y;
}

// log(1 + x) for x >= 0: what 1 + x lost in rounding is added to first order.
GPUNN_INLINE Vec log1p_of_positive(Vec x) {
  const Vec u = x + 1.0f;
  return log(u) + (u < kInfinity ? (x - (u - 1.0f)) / u : Vec{});
}

GPUNN_INLINE Vec copy_sign(Vec magnitude, Vec sign) {
  return as_float(as_int(magnitude) | (as_int(sign) & splat(static_cast<int32_t>(0x80000000u))));
}

// tanh |x| = -t / (2 + t) with t = e^(-2|x|) - 1 = 2^n (e^r - 1) + (2^n - 1).
GPUNN_INLINE Vec tanh(Vec x) {
  const Reduced a = reduce_to_ln2(clamp(abs(x), 0.0f, 20.0f) * -2.0f);
  const Vec scale = power_of_two(a.n_int);
  const Vec t = fma(expm1_reduced(a.r), scale, scale - 1.0f);
  return copy_sign(-t / (t + 2.0f), x);
}

GPUNN_INLINE Vec sigmoid(Vec x) {
  const Vec e = exp(-abs(x));
  return (x < 0.0f ? e : splat(1.0f)) / (e + 1.0f);
}

GPUNN_INLINE Vec erf(Vec x) {
  const float near_zero[] = {0x1.20dd74p+0f, -0x1.81273ep-2f,  0x1.ce2cf8p-4f, -0x1.b7f90cp-6f,
                             0x1.5405aep-8f, -0x1.a3f6eap-11f, 0x1.4969fap-14f};
  const float log_erfc[] = {-0x1.80b8cap-13f, 0x1.212aa4p+0f, 0x1.443afep-1f,   0x1.bbe4dap-4f,
                            -0x1.9c886ep-6f,  0x1.12d56ap-8f, -0x1.cc70bcp-12f, 0x1.68a69p-16f};
  const Vec a = clamp(abs(x), 0.0f, 4.0f);
  const Vec small = a * polynomial(a * a, near_zero);
  const Vec large = 1.0f - exp(-polynomial(a, log_erfc));  // NaN takes this way
  return copy_sign(a < 0.97f ? small : large, x);
}

}  // namespace
}  // namespace gpunn::cpu::simd
