// Random numbers, dropout and permutations: the vector form of gpunn/random.hpp, bit for bit.
#pragma once

#include <cstdint>

#include "gpunn/random.hpp"
#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct RandomKernels {
  // out[i] = uniform01(key, first + i)
  void (*uniform)(const PhiloxKey& key, std::uint64_t first, std::int64_t n, float* out);
  // y[i] (+)= uniform01(key, first + i) >= rate ? x[i] / (1 - rate) : 0. x may be y. REQUIRES: 0 <= rate < 1
  void (*dropout)(const PhiloxKey& key, std::uint64_t first, float rate, std::int64_t n, const float* x,
                  float* y, bool add);
  // to[k] = where place first + k of the rectangle goes: the permutation, except that it may be n or more.
  // Returns how many of `count` it has done: whole vectors of a rectangle that is wide enough.
  std::int64_t (*permute)(const Permutation::Network& network, std::uint64_t first, std::int64_t count,
                          std::int64_t* to);
};

GPUNN_SIMD_TABLES(RandomKernels, random_table)

}  // namespace gpunn::cpu::simd
