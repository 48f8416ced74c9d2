#include "gpunn/random.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gpunn {
namespace {

// A number below `end` that depends on every bit of `x` and the key. Two odd multipliers (those of xxHash)
// bring every bit to the top, which is where the last multiplication takes the result from.
std::uint64_t below(std::uint64_t end, std::uint64_t x, std::uint32_t key) {
  std::uint32_t mixed = (static_cast<std::uint32_t>(x) ^ key) * 0x9E3779B1u;
  mixed = (mixed ^ (mixed >> 15)) * 0x85EBCA77u;
  return mixed * end >> 32;
}

// (x + by) mod end, for x and by below end. Without a branch, which would be taken at random: below `end` the
// difference wraps around and is the larger of the two.
std::uint64_t shifted(std::uint64_t x, std::uint64_t by, std::uint64_t end) {
  const std::uint64_t sum = x + by;
  return std::min(sum, sum - end);
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

Permutation::Permutation(std::uint64_t n, const PhiloxKey& key) : n_(n) {
  // The last blocks of the key: no tensor is that long.
  const auto first = philox(key, ~std::uint64_t{0}), more = philox(key, ~std::uint64_t{0} - 1);
  const auto root = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n))));
  // The root was rounded; what matters is that neither side passes 2^32 and that the rectangle is no larger
  // than need be.
  const std::uint64_t rows = std::min(root + 1, std::uint64_t{1} << 32);
  network_ = {.rows = rows,
              .columns = n / rows + (n % rows != 0 ? 1 : 0),
              .keys = {first[0], first[1], first[2], first[3], more[0], more[1]}};
}

// Where N places of the rectangle go. A place is one long chain of dependent operations: several side by side
// take hardly longer than one.
template <std::size_t N>
inline void Permutation::shuffle(Places<N>& places) const {
  const auto& [rows, columns, keys] = network_;
  for (std::size_t round = 0; round < std::size(keys); round += 2) {
    for (auto& [row, column] : places) column = shifted(column, below(columns, row, keys[round]), columns);
    for (auto& [row, column] : places) row = shifted(row, below(rows, column, keys[round + 1]), rows);
  }
}

std::uint64_t Permutation::operator()(std::uint64_t i) const {
  if (n_ <= 1) return i;
  const std::uint64_t columns = network_.columns;
  do {  // fewer than a row of the rectangle's places are outside, so a second step is rare
    Places<1> place{{{i / columns, i % columns}}};
    shuffle(place);
    i = place[0].row * columns + place[0].column;
  } while (i >= n_);
  return i;
}

void Permutation::fill(std::uint64_t first, std::span<std::int64_t> to) const {
  constexpr std::size_t kTogether = 4;
  const Permutation same = *this;  // which the stores below cannot change: it stays in registers
  const std::uint64_t columns = network_.columns;
  std::size_t k = 0;
  for (; k + kTogether <= to.size(); k += kTogether) {
    Places<kTogether> places;
    places[0] = {(first + k) / columns, (first + k) % columns};
    for (std::size_t j = 1; j < kTogether; ++j) {
      const auto [row, column] = places[j - 1];
      places[j] = column + 1 < columns ? Place{row, column + 1} : Place{row + 1, 0};
    }
    same.shuffle(places);
    for (std::size_t j = 0; j < kTogether; ++j) {
      std::uint64_t i = places[j].row * columns + places[j].column;
      if (i >= n_) i = (*this)(i);
      to[k + j] = static_cast<std::int64_t>(i);
    }
  }
  for (; k < to.size(); ++k) to[k] = static_cast<std::int64_t>((*this)(first + k));
}

}  // namespace gpunn
