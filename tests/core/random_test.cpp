#include "gpunn/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace gpunn {
namespace {

// Known answers of Random123 1.14 (kat_vectors, philox4x32 10). Its counter is (low, high of block, step,
// stream).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({}, 0), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0ull, ~0u, ~0u}, ~0ull),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox({.seed = 0x299f31d0a4093822, .stream = 0x03707344, .step = 0x13198a2e}, 0x85a308d3243f6a88),
      (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Uniform01, IsUniformAndBelowOne) {
  EXPECT_LT(uniform01(~0u), 1.0f);
  EXPECT_EQ(uniform01(0u), 0.0f);
  constexpr int n = 1 << 16;
  std::array<int, 16> counts{};
  for (int i = 0; i < n; ++i)
    ++counts[static_cast<std::size_t>(uniform01({.seed = 1}, static_cast<std::uint64_t>(i)) * 16)];
  double chi2 = 0;
  for (const int count : counts) chi2 += std::pow(count - n / 16.0, 2) / (n / 16.0);
  EXPECT_LT(chi2, 37.7);  // 15 degrees of freedom, one in a thousand
}

TEST(Normal01, HasTheMomentsOfANormalDistribution) {
  constexpr int n = 1 << 17;
  double sum = 0, square = 0, cube = 0, fourth = 0, neighbours = 0, before = 0;
  for (int i = 0; i < n; ++i) {
    const double x = normal01({.seed = 5, .stream = 2}, static_cast<std::uint64_t>(i));
    ASSERT_TRUE(std::isfinite(x));
    sum += x, square += x * x, cube += x * x * x, fourth += x * x * x * x, neighbours += x * before;
    before = x;
  }
  const double error = 4 / std::sqrt(n);  // four standard errors, times the deviation of each moment
  EXPECT_NEAR(sum / n, 0, error);
  EXPECT_NEAR(square / n, 1, error * std::sqrt(2));
  EXPECT_NEAR(cube / n, 0, error * std::sqrt(15));
  EXPECT_NEAR(fourth / n, 3, error * std::sqrt(96));
  EXPECT_NEAR(neighbours / n, 0, error);
}

TEST(Permutation, MapsOntoItselfOnceEach) {
  for (std::uint64_t n : {0, 1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 569, 1000, 4096, 4097}) {
    for (std::uint32_t epoch = 0; epoch < 5; ++epoch) {
      const Permutation permutation(n, {.seed = 11, .step = epoch});
      std::vector<bool> seen(n, false);
      for (std::uint64_t i = 0; i < n; ++i) {
        const std::uint64_t to = permutation(i);
        ASSERT_LT(to, n);
        EXPECT_FALSE(seen[to]);
        seen[to] = true;
      }
    }
  }
}

TEST(Permutation, FillsStretchesWithTheSameNumbers) {
  for (const std::uint64_t n : {1u, 2u, 3u, 7u, 100u, 1009u}) {
    const Permutation permutation(n, {.seed = 5});
    for (std::uint64_t first = 0; first < n; first += 13) {
      std::vector<std::int64_t> some(std::min<std::uint64_t>(29, n - first));
      permutation.fill(first, some);
      for (std::size_t k = 0; k < some.size(); ++k)
        EXPECT_EQ(static_cast<std::uint64_t>(some[k]), permutation(first + k)) << "of " << n;
    }
  }
}

TEST(Permutation, ReachesBeyondThirtyTwoBits) {
  const std::uint64_t n = (std::uint64_t{1} << 40) + 12345;
  const Permutation permutation(n, {.seed = 1});
  std::set<std::uint64_t> images;
  std::uint64_t largest = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t to = permutation(n - 1 - i);
    EXPECT_LT(to, n);
    largest = std::max(largest, to);
    images.insert(to);
  }
  EXPECT_EQ(images.size(), 1000u);
  EXPECT_GT(largest, n / 2);
}

// Where one place goes over many epochs, and whether neighbours stay neighbours.
TEST(Permutation, ShufflesWell) {
  for (const std::uint64_t n : {10, 569, 4000}) {
    constexpr int kEpochs = 4000, kBins = 10;
    std::array<int, kBins> bins{};
    int adjacent = 0, ascending = 0;
    for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
      const Permutation permutation(n, {.seed = 3, .step = epoch});
      const std::uint64_t a = permutation(n / 3), b = permutation(n / 3 + 1);
      ++bins[a * kBins / n];
      adjacent += b == a + 1 ? 1 : 0;
      ascending += a < b ? 1 : 0;
    }
    double chi2 = 0;
    for (int bin = 0; bin < kBins; ++bin) {
      // Bins of a small n differ in size.
      const auto first = (static_cast<std::uint64_t>(bin) * n + kBins - 1) / kBins;
      const auto end = (static_cast<std::uint64_t>(bin + 1) * n + kBins - 1) / kBins;
      const double expected = kEpochs * static_cast<double>(end - first) / static_cast<double>(n);
      chi2 += std::pow(bins[static_cast<std::size_t>(bin)] - expected, 2) / expected;
    }
    EXPECT_LT(chi2, 27.9) << n;  // 9 degrees of freedom, one in a thousand
    EXPECT_LT(adjacent, 10 + 2 * kEpochs / static_cast<int>(n)) << n;
    EXPECT_NEAR(ascending, kEpochs / 2, 4 * std::sqrt(kEpochs / 4.0)) << n;
  }
}

}  // namespace
}  // namespace gpunn
