#include "src/cpu/simd/optimizer.hpp"

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

// The parameters of a large network come from far away. Processors do not look beyond a page of any stream.
constexpr int64_t kAhead = 512;  // elements: about the time of a line from the last cache

void adam(const AdamStep& s, int64_t n, float* w, const float* gradient, float* m, float* v) {
  const float new1 = 1.0f - s.beta1, new2 = 1.0f - s.beta2;
  for_vectors(n, [=](int64_t i, auto part) {
    __builtin_prefetch(w + i + kAhead), __builtin_prefetch(gradient + i + kAhead);
    __builtin_prefetch(m + i + kAhead), __builtin_prefetch(v + i + kAhead);
    Vec wi = load(w + i, part);
    const Vec g = fma(splat(s.l2), wi, s.gradient_scale * load(gradient + i, part));
    Vec mi = load(m + i, part), vi = load(v + i, part);
    mi = fma(g - mi, splat(new1), mi);
    vi = fma(fma(g, g, -vi), splat(new2), vi);
    store(m + i, mi, part);
    store(v + i, vi, part);
    wi = fnma(splat(s.decay), wi, wi);
    store(w + i, wi - (s.alpha * mi) / (sqrt(vi) + s.epsilon), part);
  });
}

void sgd(const SgdStep& s, int64_t n, float* w, const float* gradient, float* velocity) {
  for_vectors(n, [=](int64_t i, auto part) {
    Vec wi = load(w + i, part);
    wi = fnma(splat(s.decay), wi, wi);
    const Vec step = s.learning_rate * (s.gradient_scale * load(gradient + i, part));
    if (!velocity) {
      store(w + i, wi - step, part);
      return;
    }
    const Vec u = fma(splat(s.momentum), load(velocity + i, part), -step);
    store(velocity + i, u, part);
    store(w + i, wi + (s.nesterov ? fma(splat(s.momentum), u, -step) : u), part);
  });
}

double sum_of_squares(int64_t n, const float* x) {
  // Short chains in float, whose sums are added in double: a million elements lose no more than a thousand.
  constexpr int64_t kChain = 64, kVecs = 4, kBlock = kChain * kVecs * kLanes;
  double total = 0;
  int64_t first = 0;
  for (; first + kBlock <= n; first += kBlock) {
    Vec sum[kVecs] = {};
    for (int64_t i = first; i < first + kBlock; i += kVecs * kLanes) {
      GPUNN_UNROLL
      for (int c = 0; c < kVecs; ++c) {
        const Vec v = load(x + i + c * kLanes);
        sum[c] = fma(v, v, sum[c]);
      }
    }
    total += static_cast<double>(sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
  Vec sum{};
  for_vectors(n - first, [&](int64_t i, auto part) {
    const Vec v = load(x + first + i, part);
    sum = fma(v, v, sum);
  });
  return total + static_cast<double>(sum_lanes(sum));
}

// So many parts in one pass over the sum: more are more streams than a prefetcher follows.
constexpr int kTogether = 4;

template <int Parts>
void add_parts(int64_t n, const float* first, int64_t stride, float* out, bool add) {
  for_vectors(n, [=](int64_t i, auto some) {
    Vec sum = load(first + i, some);
    if (add) sum = load(out + i, some) + sum;
    GPUNN_UNROLL
    for (int p = 1; p < Parts; ++p) sum += load(first + p * stride + i, some);
    store(out + i, sum, some);
  });
}

void sum_parts(int64_t n, int64_t parts, const float* first, int64_t stride, float* out, bool add) {
  for (; parts >= kTogether; parts -= kTogether, first += kTogether * stride, add = true)
    add_parts<kTogether>(n, first, stride, out, add);
  for (; parts > 0; --parts, first += stride, add = true) add_parts<1>(n, first, stride, out, add);
}

}  // namespace

const OptimizerKernels GPUNN_SIMD_NAME(optimizer_table) = {
    .adam = adam, .sgd = sgd, .sum_of_squares = sum_of_squares, .sum_parts = sum_parts};

}  // namespace gpunn::cpu::simd
