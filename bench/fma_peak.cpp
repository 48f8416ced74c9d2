#include "bench/fma_peak.hpp"

#include <algorithm>
#include <ctime>

namespace gpunn::cpu::simd {
namespace {

// Of this thread's own time: a core that is taken away for a while does not count.
double seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double fma_peak(Isa isa) {
#if defined(__x86_64__)
  const FmaPeak& fma = isa == Isa::avx512 ? fma_peak_avx512
                       : isa == Isa::avx2 ? fma_peak_avx2
                                          : fma_peak_base;
#else
  const FmaPeak& fma = fma_peak_base;
  static_cast<void>(isa);
#endif
  constexpr std::int64_t kRounds = 200'000;
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    float sink[] = {1, 0.5f, 0.25f, 0};
    const double begin = seconds();
    const double operations = static_cast<double>(fma.run(kRounds, sink) * kRounds);
    best = std::max(best, operations / (seconds() - begin));
  }
  return best;
}

}  // namespace gpunn::cpu::simd
