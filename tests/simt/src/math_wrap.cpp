// The C library's functions as kernels call them. The linker sends every call of these names here (--wrap),
// so that perturbed maths reaches std::exp in a kernel as well; the bounds, in units in the last place, are
// those of CUDA's single-precision table. Also assert(), which inside a kernel is the device's.
#include <cmath>
#include <cstdlib>
#include <string>

#include "executor.hpp"
#include "options.hpp"

#define WRAP(name, ulps)                            \
  float __real_##name(float);                       \
  float __wrap_##name(float x) {                    \
    return simt::perturbed(__real_##name(x), ulps); \
  }

extern "C" {

WRAP(expf, 1)
WRAP(exp2f, 2)
WRAP(expm1f, 1)
WRAP(logf, 1)
WRAP(log2f, 1)
WRAP(log10f, 2)
WRAP(log1pf, 1)
WRAP(sinf, 2)
WRAP(cosf, 2)
WRAP(tanf, 4)
WRAP(atanf, 2)
WRAP(sinhf, 3)
WRAP(coshf, 2)
WRAP(tanhf, 2)
WRAP(erff, 2)
WRAP(erfcf, 4)
WRAP(cbrtf, 1)

float __real_powf(float, float);
float __wrap_powf(float x, float y) {
  return simt::perturbed(__real_powf(x, y), 4);
}

[[noreturn]] void __real___assert_fail(const char*, const char*, unsigned, const char*);
[[noreturn]] void __wrap___assert_fail(const char* condition, const char* file, unsigned line,
                                       const char* function) {
  if (!simt::in_kernel()) __real___assert_fail(condition, file, line, function);
  simt::fail_with(cudaErrorAssert, "device-side assert: " + std::string(condition), {file, line});
}

}  // extern "C"
