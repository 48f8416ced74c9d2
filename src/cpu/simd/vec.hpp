// One vector of floats, as wide as the instruction set this source is compiled for.
//
// Included only by *.simd.cpp files, which cmake/simd.cmake compiles once per instruction set with
// GPUNN_LANES = 4, 8 or 16. Everything here has internal linkage and is inlined: a function compiled for
// AVX-512 must never be the copy that the linker keeps for all. For the same reason these sources include no
// standard header with inline functions.
//
// GNU vector types do the arithmetic (+ - * / < ?: work per lane). Accumulators are arrays of Vec, and every
// loop over them carries GPUNN_UNROLL: only fully unrolled arrays live in registers.
#pragma once

#include <stddef.h>
#include <stdint.h>
#if GPUNN_LANES > 4
#include <immintrin.h>
#endif

#define GPUNN_INLINE inline __attribute__((always_inline))
#define GPUNN_UNROLL _Pragma("GCC unroll 32")

namespace gpunn::cpu::simd {
namespace {

constexpr int kLanes = GPUNN_LANES;
constexpr float kInfinity = __builtin_inff();
// Vector registers of the level: what the heights of register tiles follow from.
constexpr int kRegisters = GPUNN_LANES == 16 ? 32 : 16;

typedef float Vec __attribute__((vector_size(4 * GPUNN_LANES)));
typedef int32_t VecI
    __attribute__((vector_size(4 * GPUNN_LANES)));  // also the type of a comparison: 0 or -1 per lane
typedef uint32_t VecU __attribute__((vector_size(4 * GPUNN_LANES)));
typedef float VecAnywhere __attribute__((vector_size(4 * GPUNN_LANES), aligned(4), may_alias));
typedef int32_t VecIAnywhere __attribute__((vector_size(4 * GPUNN_LANES), aligned(4), may_alias));

GPUNN_INLINE Vec load(const float* p) {
  return *reinterpret_cast<const VecAnywhere*>(p);
}
GPUNN_INLINE void store(float* p, Vec v) {
  *reinterpret_cast<VecAnywhere*>(p) = v;
}
GPUNN_INLINE VecI load(const int32_t* p) {
  return *reinterpret_cast<const VecIAnywhere*>(p);
}
GPUNN_INLINE void store(int32_t* p, VecI v) {
  *reinterpret_cast<VecIAnywhere*>(p) = v;
}
GPUNN_INLINE Vec splat(float x) {
  return x - Vec{};
}
GPUNN_INLINE VecI splat(int32_t x) {
  return x - VecI{};
}
GPUNN_INLINE Vec as_float(VecI v) {
  return (Vec)v;
}
GPUNN_INLINE VecI as_int(Vec v) {
  return (VecI)v;
}

// {0, 1, 2, ...}
GPUNN_INLINE VecI iota() {
  VecI v;
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

#if GPUNN_LANES == 16
// The forms without a mask make g++ 12 warn of the undefined operand inside its own header (GCC bug 105593).
constexpr __mmask16 kAllLanes = 0xffff;
GPUNN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
GPUNN_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return (Vec)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
GPUNN_INLINE Vec max(Vec a, Vec b) {
  return (Vec)_mm512_maskz_max_ps(kAllLanes, (__m512)a, (__m512)b);
}
GPUNN_INLINE Vec min(Vec a, Vec b) {
  return (Vec)_mm512_maskz_min_ps(kAllLanes, (__m512)a, (__m512)b);
}
GPUNN_INLINE Vec sqrt(Vec a) {
  return (Vec)_mm512_maskz_sqrt_ps(kAllLanes, (__m512)a);
}
// One bit per lane, lane 0 lowest.
GPUNN_INLINE uint32_t mask_bits(VecI m) {
  return _mm512_movepi32_mask((__m512i)m);
}

// The first `count` lanes, 0 <= count <= kLanes: what is left of a row.
struct Tail {
  __mmask16 mask;
  explicit GPUNN_INLINE Tail(int count) : mask(static_cast<__mmask16>((1u << count) - 1)) {}
  GPUNN_INLINE VecI lanes() const { return (VecI)_mm512_movm_epi32(mask); }  // -1 in the lanes that count
};
GPUNN_INLINE Vec load(const float* p, Tail t) {
  return (Vec)_mm512_maskz_loadu_ps(t.mask, p);
}
GPUNN_INLINE void store(float* p, Vec v, Tail t) {
  _mm512_mask_storeu_ps(p, t.mask, (__m512)v);
}
GPUNN_INLINE void store(int32_t* p, VecI v, Tail t) {
  _mm512_mask_storeu_epi32(p, t.mask, (__m512i)v);
}
GPUNN_INLINE VecI load(const int32_t* p, Tail t) {
  return (VecI)_mm512_maskz_loadu_epi32(t.mask, p);
}

#elif GPUNN_LANES == 8
GPUNN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
GPUNN_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return (Vec)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
GPUNN_INLINE Vec max(Vec a, Vec b) {
  return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
}
GPUNN_INLINE Vec min(Vec a, Vec b) {
  return (Vec)_mm256_min_ps((__m256)a, (__m256)b);
}
GPUNN_INLINE Vec sqrt(Vec a) {
  return (Vec)_mm256_sqrt_ps((__m256)a);
}
GPUNN_INLINE uint32_t mask_bits(VecI m) {
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)m));
}

struct Tail {
  __m256i mask;
  explicit GPUNN_INLINE Tail(int count) : mask((__m256i)(iota() < splat(count))) {}
  GPUNN_INLINE VecI lanes() const { return (VecI)mask; }
};
GPUNN_INLINE Vec load(const float* p, Tail t) {
  return (Vec)_mm256_maskload_ps(p, t.mask);
}
GPUNN_INLINE void store(float* p, Vec v, Tail t) {
  _mm256_maskstore_ps(p, t.mask, (__m256)v);
}
GPUNN_INLINE void store(int32_t* p, VecI v, Tail t) {
  _mm256_maskstore_epi32(p, t.mask, (__m256i)v);
}
GPUNN_INLINE VecI load(const int32_t* p, Tail t) {
  return (VecI)_mm256_maskload_epi32(p, t.mask);
}

#else
// The level that any processor has. No fused multiply-add: its sums differ in the last bits from the wider
// levels'.
GPUNN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return a * b + c;
}
GPUNN_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return c - a * b;
}
GPUNN_INLINE Vec max(Vec a, Vec b) {
  return a > b ? a : b;
}
GPUNN_INLINE Vec min(Vec a, Vec b) {
  return a < b ? a : b;
}
GPUNN_INLINE Vec sqrt(Vec a) {
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
GPUNN_INLINE uint32_t mask_bits(VecI m) {
  uint32_t bits = 0;
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) bits |= static_cast<uint32_t>(m[i] & 1) << i;
  return bits;
}

struct Tail {
  int count;
  explicit GPUNN_INLINE Tail(int n) : count(n) {}
  GPUNN_INLINE VecI lanes() const { return iota() < splat(int32_t{count}); }
};
GPUNN_INLINE Vec load(const float* p, Tail t) {
  Vec v{};
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (i < t.count) v[i] = p[i];
  }
  return v;
}
GPUNN_INLINE void store(float* p, Vec v, Tail t) {
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (i < t.count) p[i] = v[i];
  }
}
GPUNN_INLINE VecI load(const int32_t* p, Tail t) {
  VecI v{};
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (i < t.count) v[i] = p[i];
  }
  return v;
}
GPUNN_INLINE void store(int32_t* p, VecI v, Tail t) {
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (i < t.count) p[i] = v[i];
  }
}
#endif

// max and min above return `b` where a lane of either is NaN (x86's rule), so clamping keeps NaN with x as
// the second.
GPUNN_INLINE Vec clamp(Vec x, float low, float high) {
  return min(splat(high), max(splat(low), x));
}
GPUNN_INLINE Vec abs(Vec x) {
  return as_float(as_int(x) & splat(int32_t{0x7fffffff}));
}

// Sum and maximum over the lanes, by halving: a fixed order.
GPUNN_INLINE float sum_lanes(Vec v) {
  float lane[kLanes];
  store(lane, v);
  GPUNN_UNROLL
  for (int width = kLanes / 2; width > 0; width /= 2) {
    GPUNN_UNROLL
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  }
  return lane[0];
}
GPUNN_INLINE float max_lanes(Vec v) {
  float lane[kLanes];
  store(lane, v);
  GPUNN_UNROLL
  for (int i = 1; i < kLanes; ++i) lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
  return lane[0];
}

// f(i, part) for i = 0, kLanes, ... below n: `part` is All for whole vectors and a Tail for what is left of
// the last, so that load(p + i, part) and store(p + i, v, part) fit both.
struct All {};
GPUNN_INLINE Vec load(const float* p, All) {
  return load(p);
}
GPUNN_INLINE void store(float* p, Vec v, All) {
  store(p, v);
}
GPUNN_INLINE VecI load(const int32_t* p, All) {
  return load(p);
}
GPUNN_INLINE void store(int32_t* p, VecI v, All) {
  store(p, v);
}

// The lanes as bytes.
typedef uint8_t Bytes __attribute__((vector_size(GPUNN_LANES)));
typedef uint8_t BytesAnywhere __attribute__((vector_size(GPUNN_LANES), aligned(1), may_alias));
GPUNN_INLINE void store_bytes(uint8_t* p, VecI v, All) {
  *reinterpret_cast<BytesAnywhere*>(p) = __builtin_convertvector(v, Bytes);
}
GPUNN_INLINE void store_bytes(uint8_t* p, VecI v, Tail part) {
  const Bytes bytes = __builtin_convertvector(v, Bytes);
  const VecI counts = part.lanes();
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (counts[i]) p[i] = bytes[i];
  }
}

GPUNN_INLINE VecI load_bytes(const uint8_t* p, All) {
  return __builtin_convertvector((Bytes) * reinterpret_cast<const BytesAnywhere*>(p), VecI);
}
GPUNN_INLINE VecI load_bytes(const uint8_t* p, Tail part) {
  const VecI counts = part.lanes();
  VecI v{};
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    if (counts[i]) v[i] = p[i];
  }
  return v;
}

// v in the lanes that count, `otherwise` in the rest.
GPUNN_INLINE Vec keep(Vec v, All, float) {
  return v;
}
GPUNN_INLINE VecI keep(VecI v, All, int32_t) {
  return v;
}
GPUNN_INLINE Vec keep(Vec v, Tail part, float otherwise) {
  return part.lanes() ? v : splat(otherwise);
}
GPUNN_INLINE VecI keep(VecI v, Tail part, int32_t otherwise) {
  return part.lanes() ? v : splat(otherwise);
}

template <class F>
GPUNN_INLINE void for_vectors(int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, All{});
  if (i < n) f(i, Tail(static_cast<int>(n - i)));
}

GPUNN_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
GPUNN_INLINE int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}
GPUNN_INLINE int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace
}  // namespace gpunn::cpu::simd
