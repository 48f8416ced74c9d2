// Arithmetic on denormal numbers takes a slow path on many processors; training makes them without end
// (moments that decay).
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace gpunn::cpu::simd {

// While it lives, this thread's float arithmetic takes denormal inputs for zero and gives zero instead of
// them (FTZ, DAZ). The thread's own setting comes back after: the application's arithmetic is not ours to
// change.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
    _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
  }
  ~FlushDenormals() {
    _mm_setcsr(before_);
  }
#else
  FlushDenormals() {}  // no portable way: right, only slower
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

#if defined(__x86_64__)
 private:
  unsigned before_;
#endif
};

}  // namespace gpunn::cpu::simd
