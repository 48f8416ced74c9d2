// Half and bfloat16 functions that the toolkit's headers offer to nvcc alone. Conversions, operators and
// comparisons come from the toolkit itself. Computed in double and rounded once, so that fused means fused.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

inline __half __hfma(__half a, __half b, __half c) {
  // The product is exact in double and so, but for extreme exponents, is the sum.
  return __double2half(static_cast<double>(__half2float(a)) * __half2float(b) + __half2float(c));
}
inline __nv_bfloat16 __hfma(__nv_bfloat16 a, __nv_bfloat16 b, __nv_bfloat16 c) {
  return __double2bfloat16(static_cast<double>(__bfloat162float(a)) * __bfloat162float(b) +
                           __bfloat162float(c));
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
  return __halves2half2(__hfma(__low2half(a), __low2half(b), __low2half(c)),
                        __hfma(__high2half(a), __high2half(b), __high2half(c)));
}
inline __nv_bfloat162 __hfma2(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
  return __halves2bfloat162(__hfma(__low2bfloat16(a), __low2bfloat16(b), __low2bfloat16(c)),
                            __hfma(__high2bfloat16(a), __high2bfloat16(b), __high2bfloat16(c)));
}

#define SIMT_HALF_FUNCTION(name, expression)      \
  inline __half name(__half half) {               \
    const double x = __half2float(half);          \
    return __double2half(expression);             \
  }                                               \
  inline __nv_bfloat16 name(__nv_bfloat16 half) { \
    const double x = __bfloat162float(half);      \
    return __double2bfloat16(expression);         \
  }
SIMT_HALF_FUNCTION(hexp, std::exp(x))
SIMT_HALF_FUNCTION(hexp2, std::exp2(x))
SIMT_HALF_FUNCTION(hlog, std::log(x))
SIMT_HALF_FUNCTION(hlog2, std::log2(x))
SIMT_HALF_FUNCTION(hsqrt, std::sqrt(x))
SIMT_HALF_FUNCTION(hrsqrt, 1.0 / std::sqrt(x))
SIMT_HALF_FUNCTION(hrcp, 1.0 / x)
SIMT_HALF_FUNCTION(hsin, std::sin(x))
SIMT_HALF_FUNCTION(hcos, std::cos(x))
SIMT_HALF_FUNCTION(htanh, std::tanh(x))
SIMT_HALF_FUNCTION(hfloor, std::floor(x))
SIMT_HALF_FUNCTION(hceil, std::ceil(x))
SIMT_HALF_FUNCTION(hrint, std::nearbyint(x))
#undef SIMT_HALF_FUNCTION
