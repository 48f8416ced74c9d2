#include "src/cpu/simd/elementwise.hpp"

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

void add(int64_t n, const float* a, const float* b, float* out) {
  for_vectors(n, [=](int64_t i, auto part) { store(out + i, load(a + i, part) + load(b + i, part), part); });
}

void multiply(int64_t n, const float* a, const float* b, float* out) {
  for_vectors(n, [=](int64_t i, auto part) { store(out + i, load(a + i, part) * load(b + i, part), part); });
}

void scale(int64_t n, float alpha, const float* x, float* out) {
  for_vectors(n, [=](int64_t i, auto part) { store(out + i, alpha * load(x + i, part), part); });
}

void axpy(int64_t n, float alpha, const float* x, float* y) {
  for_vectors(n, [=](int64_t i, auto part) {
    store(y + i, fma(splat(alpha), load(x + i, part), load(y + i, part)), part);
  });
}

void fill(int64_t n, float value, float* out) {
  for_vectors(n, [=](int64_t i, auto part) { store(out + i, splat(value), part); });
}

}  // namespace

const ElementwiseKernels GPUNN_SIMD_NAME(elementwise_table) = {
    .add = add, .multiply = multiply, .scale = scale, .axpy = axpy, .fill = fill};

}  // namespace gpunn::cpu::simd
