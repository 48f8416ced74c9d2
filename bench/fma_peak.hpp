// The most multiply-adds per second that one core does at each instruction set: what shares of peak refer to.
#pragma once

#include <cstdint>

#include "src/cpu/simd/dispatch.hpp"
#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct FmaPeak {
  // Runs `rounds` rounds of independent multiply-adds in registers; returns how many operations (two per
  // multiply-add) a round is. `sink` keeps the results alive.
  std::int64_t (*run)(std::int64_t rounds, float* sink);
};

GPUNN_SIMD_TABLES(FmaPeak, fma_peak)

// Operations per second of this core at an instruction set, the best of some short runs.
double fma_peak(Isa isa);

}  // namespace gpunn::cpu::simd
