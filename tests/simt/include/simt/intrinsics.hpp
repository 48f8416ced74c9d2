// Arithmetic that nvcc knows by itself. The approximate functions are exact here, unless the option
// `perturb_math` moves each result at random within the error bound that the CUDA math documentation gives
// for it: a test that then fails depended on luck.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace simt {

// `result`, moved by at most `ulps` units in the last place when maths is perturbed.
float perturbed(float result, float ulps);
// `result`, moved by at most `bound` (an absolute error).
float perturbed_by(float result, float bound);

}  // namespace simt

// glibc declares some of these names itself, with C linkage and noexcept: so are ours.
inline float __expf(float x) noexcept {
  return simt::perturbed(std::exp(x), 2 + std::floor(std::fabs(1.173f * x)));
}
inline float __exp10f(float x) noexcept {
  return simt::perturbed(std::pow(10.0f, x), 2 + std::floor(std::fabs(2.97f * x)));
}
inline float __logf(float x) noexcept {  // near 1 the bound is absolute: 2^-21.41
  const float y = std::log(x);
  return x >= 0.5f && x <= 2.0f ? simt::perturbed_by(y, 3.5e-7f) : simt::perturbed(y, 3);
}
inline float __log2f(float x) noexcept {
  const float y = std::log2(x);
  return x >= 0.5f && x <= 2.0f ? simt::perturbed_by(y, 2.3e-7f) : simt::perturbed(y, 2);
}
inline float __log10f(float x) noexcept {
  const float y = std::log10(x);
  return x >= 0.5f && x <= 2.0f ? simt::perturbed_by(y, 1.5e-7f) : simt::perturbed(y, 3);
}
inline float __sinf(float x) noexcept {
  return simt::perturbed_by(std::sin(x), 4.9e-7f);
}
inline float __cosf(float x) noexcept {
  return simt::perturbed_by(std::cos(x), 5.9e-7f);
}
inline void __sincosf(float x, float* s, float* c) noexcept {
  *s = __sinf(x);
  *c = __cosf(x);
}
inline float __tanf(float x) noexcept {
  return __sinf(x) / __cosf(x);
}
inline float __powf(float x, float y) noexcept {
  return std::exp2(y * __log2f(x));
}
inline float __fdividef(float x, float y) noexcept {
  if (std::fabs(y) > 0x1p126f && std::isfinite(y)) return std::isinf(x) ? NAN : 0.0f;  // documented
  return simt::perturbed(x / y, 2);
}
inline float rsqrtf(float x) noexcept {
  return simt::perturbed(1.0f / std::sqrt(x), 2);
}
inline double rsqrt(double x) noexcept {
  return 1.0 / std::sqrt(x);
}
inline float __frsqrt_rn(float x) noexcept {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}

// Correctly rounded by definition.
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
inline float __frcp_rn(float a) {
  return 1.0f / a;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double __fma_rn(double a, double b, double c) {
  return std::fma(a, b, c);
}
inline float __saturatef(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}  // NaN becomes 0

inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}

// Conversions saturate and turn NaN into 0, where C++ has undefined behaviour.
template <class To>
To simt_saturating(double x) {
  if (std::isnan(x)) return 0;
  constexpr double low = static_cast<double>(std::numeric_limits<To>::min());
  constexpr double high = static_cast<double>(std::numeric_limits<To>::max());
  return x <= low    ? std::numeric_limits<To>::min()
         : x >= high ? std::numeric_limits<To>::max()
                     : static_cast<To>(x);
}
inline int __float2int_rn(float x) {
  return simt_saturating<int>(std::nearbyint(x));
}
inline int __float2int_rz(float x) {
  return simt_saturating<int>(x);
}
inline int __float2int_rd(float x) {
  return simt_saturating<int>(std::floor(x));
}
inline int __float2int_ru(float x) {
  return simt_saturating<int>(std::ceil(x));
}
inline unsigned __float2uint_rn(float x) {
  return simt_saturating<unsigned>(std::nearbyint(x));
}
inline unsigned __float2uint_rz(float x) {
  return simt_saturating<unsigned>(x);
}
inline float __int2float_rn(int x) {
  return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
  return static_cast<float>(x);
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1) << (31 - i);
  return r;
}
inline int __mulhi(int a, int b) {
  return static_cast<int>((static_cast<long long>(a) * b) >> 32);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31));
}

// Cache hints mean nothing here.
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}
inline void __nanosleep(unsigned) {}
