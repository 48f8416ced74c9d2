#include "bench/fma_peak.hpp"

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

int64_t run(int64_t rounds, float* sink) {
  constexpr int kChains = 12;
  Vec sum[kChains];
  GPUNN_UNROLL
  for (int i = 0; i < kChains; ++i) sum[i] = splat(sink[0] + static_cast<float>(i));
  const Vec a = splat(sink[1]), b = splat(sink[2]);
  for (int64_t r = 0; r < rounds; ++r) {
    GPUNN_UNROLL
    for (int i = 0; i < kChains; ++i) sum[i] = fma(sum[i], a, b);
  }
  GPUNN_UNROLL
  for (int i = 0; i < kChains; ++i) sink[3] += sum_lanes(sum[i]);
  return 2 * kChains * kLanes;
}

}  // namespace

const FmaPeak GPUNN_SIMD_NAME(fma_peak) = {.run = run};

}  // namespace gpunn::cpu::simd
