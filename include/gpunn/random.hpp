// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
//
// A number is a function of (seed, stream, step, index) alone: it does not depend on threads, devices or the
// order in which numbers are asked for. Every random choice of the library (initial weights, dropout,
// shuffling) comes from here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "gpunn/export.hpp"

namespace gpunn {

struct PhiloxKey {
  std::uint64_t seed = 0;    // the user's seed: the Philox key
  std::uint32_t stream = 0;  // which op or purpose: counter word 3
  std::uint32_t step = 0;    // training step or epoch: counter word 2
};

// Four 32-bit words for counter words 0,1 = low, high half of `block`. Element i of a tensor uses word i % 4
// of block i / 4.
constexpr std::array<std::uint32_t, 4> philox(const PhiloxKey& key, std::uint64_t block) {
  std::uint32_t c0 = static_cast<std::uint32_t>(block), c1 = static_cast<std::uint32_t>(block >> 32),
                c2 = key.step, c3 = key.stream;
  std::uint32_t k0 = static_cast<std::uint32_t>(key.seed), k1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c0, p1 = std::uint64_t{0xCD9E8D57} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0,
                        n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = static_cast<std::uint32_t>(p1), c2 = n2, c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9, k1 += 0xBB67AE85;
  }
  return {c0, c1, c2, c3};
}

// Uniform in [0, 1): the top 24 bits, so every value is exact in float.
constexpr float uniform01(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

// Element `index` of the random tensor named by `key`.
constexpr float uniform01(const PhiloxKey& key, std::uint64_t index) {
  return uniform01(philox(key, index / 4)[index % 4]);
}
// Standard normal by Box-Muller from the pair of words that holds `index`.
GPUNN_API float normal01(const PhiloxKey& key, std::uint64_t index);

// A permutation of [0, n): a 6-round Feistel network over a rectangle of about sqrt(n) by sqrt(n) that holds
// n, walking the cycle where it leaves [0, n) (Black and Rogaway, "Ciphers with arbitrary finite domains",
// 2002). O(1) per index and no memory, on host and device alike.
class GPUNN_API Permutation {
 public:
  // What it is made of, for kernels that send many places through at once. n <= rows * columns < n + rows;
  // both are at most 2^32.
  struct Network {
    std::uint64_t rows, columns;
    std::uint32_t keys[6];
  };

  Permutation(std::uint64_t n, const PhiloxKey& key);
  std::uint64_t operator()(std::uint64_t i) const;  // REQUIRES: i < n
  // to[k] = (first + k)-th of the permutation. REQUIRES: first + to.size() <= n
  void fill(std::uint64_t first, std::span<std::int64_t> to) const;
  std::uint64_t size() const { return n_; }
  const Network& network() const { return network_; }

 private:
  struct Place {
    std::uint64_t row, column;
  };
  template <std::size_t N>
  using Places = std::array<Place, N>;
  template <std::size_t N>
  void shuffle(Places<N>& places) const;

  std::uint64_t n_;
  Network network_;
};

}  // namespace gpunn
