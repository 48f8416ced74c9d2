#include "src/cpu/simd/dispatch.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

#include "gpunn/error.hpp"

namespace gpunn::cpu::simd {
namespace {

#define GPUNN_RNN_CELLS(level)                                                              \
  {                                                                                         \
    &rnn_simple_table_##level, &rnn_gru_table_##level, &rnn_gru_reset_before_table_##level, \
        &rnn_lstm_table_##level                                                             \
  }

// clang-format off
#define GPUNN_SIMD_SET(level) Kernels{              \
    .isa = Isa::level,                              \
    .name = #level,                                 \
    .elementwise = elementwise_table_##level,       \
    .activation = activation_table_##level,         \
    .dense = dense_table_##level,                   \
    .conv = conv_table_##level,                     \
    .conv_gradient = conv_gradient_table_##level,   \
    .pool = pool_table_##level,                     \
    .loss = loss_table_##level,                     \
    .optimizer = optimizer_table_##level,           \
    .random = random_table_##level,                 \
    .embedding = embedding_table_##level,           \
    .rnn_cells = GPUNN_RNN_CELLS(level),            \
  }
// clang-format on

const Kernels kBase = GPUNN_SIMD_SET(base);
#if defined(__x86_64__)
const Kernels kAvx2 = GPUNN_SIMD_SET(avx2);
const Kernels kAvx512 = GPUNN_SIMD_SET(avx512);
#endif

const Kernels& choose() {
  const Isa widest_first[] = {Isa::avx512, Isa::avx2, Isa::base};
  const char* wanted = std::getenv("GPUNN_CPU_ISA");
  for (const Isa isa : widest_first) {
    const Kernels* set = kernels_for(isa);
    if (set && (!wanted || std::string_view(wanted) == set->name)) return *set;
  }
  throw UsageError("GPUNN_CPU_ISA=" + std::string(wanted) +
                   ": not base, avx2 or avx512, or this processor does not have it");
}

}  // namespace

const Kernels* kernels_for(Isa isa) {
  switch (isa) {
    case Isa::base:
      return &kBase;
#if defined(__x86_64__)
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kAvx2 : nullptr;
    case Isa::avx512: {
      const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
      return has && kernels_for(Isa::avx2) ? &kAvx512 : nullptr;
    }
#else
    default:
      return nullptr;
#endif
  }
  return nullptr;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace gpunn::cpu::simd
