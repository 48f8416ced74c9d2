#include "gpunn/random.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace gpunn {
namespace {

// A 32-bit mixer in which every input bit reaches every output bit (the constants are MurmurHash3's
// finaliser).
constexpr std::uint32_t mix(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
  x = (x ^ (x >> 13)) * 0xC2B2AE35u;
  return x ^ (x >> 16);
}

}  // namespace

float normal01(const PhiloxKey& key, std::uint64_t index) {
  const auto words = philox(key, index / 4);
  const std::size_t pair = index % 4 / 2 * 2;
  // In double, so that the float does not depend on the last places of one C library's log and cos.
  const double radius_word =
      (static_cast<double>(words[pair] >> 8) + 1.0) * 0x1p-24;  // (0, 1]: log stays finite
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(uniform01(words[pair + 1]));
  const double radius = std::sqrt(-2.0 * std::log(radius_word));
  return static_cast<float>(radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle)));
}

Permutation::Permutation(std::uint64_t n, const PhiloxKey& key)
    : n_(n),
      half_bits_(std::max(1u, (static_cast<unsigned>(std::bit_width(n > 0 ? n - 1 : 0)) + 1) / 2)),
      round_keys_(philox(key, ~std::uint64_t{0})) {}  // the last block: no tensor is that long

std::uint64_t Permutation::operator()(std::uint64_t i) const {
  if (n_ <= 1) return i;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  do {  // i < n_ <= 2^(2 half_bits_): walking the cycle comes back below n_, within 4 steps on average
    std::uint64_t left = i >> half_bits_, right = i & mask;
    for (const std::uint32_t round_key : round_keys_) {
      const std::uint64_t mixed = mix(static_cast<std::uint32_t>(right) ^ round_key) & mask;
      const std::uint64_t next = left ^ mixed;
      left = right, right = next;
    }
    i = (left << half_bits_) | right;
  } while (i >= n_);
  return i;
}

}  // namespace gpunn
