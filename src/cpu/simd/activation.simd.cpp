#include "src/cpu/simd/activation.hpp"

#include "src/cpu/simd/activate.hpp"

namespace gpunn::cpu::simd {
namespace {

template <class F>
GPUNN_INLINE void map(int64_t n, const float* x, float* y, F f) {
  for_vectors(n, [=](int64_t i, auto part) { store(y + i, f(load(x + i, part)), part); });
}

void forward(Activation act, int64_t n, const float* x, float* y) {
  with_activation(act, [=](auto a) { map(n, x, y, [](Vec v) { return decltype(a)::value(v); }); });
}

void backward(Activation act, int64_t n, const float* kept, const float* dy, float* dx, bool add) {
  with_activation(act, [=](auto a) {
    for_vectors(n, [=](int64_t i, auto part) {
      const Vec d = decltype(a)::backward(load(kept + i, part), load(dy + i, part));
      store(dx + i, add ? load(dx + i, part) + d : d, part);
    });
  });
}

void exp_of(int64_t n, const float* x, float* y) {
  map(n, x, y, [](Vec v) { return exp(v); });
}
void log_of(int64_t n, const float* x, float* y) {
  map(n, x, y, [](Vec v) { return log(v); });
}
void log1p_of(int64_t n, const float* x, float* y) {
  map(n, x, y, [](Vec v) { return log1p_of_positive(v); });
}
void erf_of(int64_t n, const float* x, float* y) {
  map(n, x, y, [](Vec v) { return erf(v); });
}

}  // namespace

const ActivationKernels GPUNN_SIMD_NAME(activation_table) = {
    .forward = forward, .backward = backward, .exp = exp_of, .log = log_of, .log1p = log1p_of, .erf = erf_of};

}  // namespace gpunn::cpu::simd
