#include "gpunn/random.hpp"

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class RandomTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(RandomTest);

// Bit for bit the scalar definition, from any first element, across the carry of the counter's low word.
TEST_P(RandomTest, EqualsTheScalarDefinition) {
  const PhiloxKey key{.seed = 0x123456789abcdef0ull, .stream = 7, .step = 11};
  for (const std::uint64_t first : {0ull, 1ull, 6ull, 4ull * 0xfffffff0ull + 3, 1ull << 40}) {
    for (const std::int64_t n : {0, 1, 4, 63, 64, 65, 301}) {
      const Vec1 x = uniform(n, -1, 1);
      Vec1 u(static_cast<std::size_t>(n) + 1, 9), fresh(u.size(), 9), added(u.size(), 9);
      kernels().random.uniform(key, first, n, u.data());
      kernels().random.dropout(key, first, 0.3f, n, x.data(), fresh.data(), false);
      kernels().random.dropout(key, first, 0.3f, n, x.data(), added.data(), true);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float want = uniform01(key, first + i), kept = want >= 0.3f ? x[i] * (1 / (1 - 0.3f)) : 0;
        ASSERT_EQ(u[i], want) << first << " + " << i;
        ASSERT_EQ(fresh[i], kept);
        ASSERT_EQ(added[i], 9 + kept);
      }
      for (const Vec1* v : {&u, &fresh, &added}) EXPECT_EQ(v->back(), 9);
    }
  }
}

// Rectangles around one vector wide and larger, entered in the middle of rows; the last is too large for
// lanes of 32 bits.
TEST_P(RandomTest, PermutesAsTheScalarDefinition) {
  const std::uint64_t large = std::uint64_t{1} << 62;
  for (const std::uint64_t n :
       std::vector<std::uint64_t>{0, 1, 20, 240, 256, 257, 280, 5000, large >> 22, large}) {
    const Permutation permutation(n, {.seed = 9, .step = 2});
    for (const std::uint64_t first : {std::uint64_t{0}, n / 3, n - n / 5}) {
      const std::uint64_t count = std::min<std::uint64_t>(n - first, 100);
      std::vector<std::int64_t> to(count + 1, -7);
      const std::int64_t done =
          kernels().random.permute(permutation.network(), first, static_cast<std::int64_t>(count), to.data());
      ASSERT_LE(static_cast<std::uint64_t>(done), count);
      if (n == 5000 && count == 100) {  // whole vectors are done
        EXPECT_GE(done, 84);
      }
      for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(done); ++k) {
        auto place = static_cast<std::uint64_t>(to[k]);
        if (place >= n) place = permutation(place);
        ASSERT_EQ(place, permutation(first + k)) << n << ": " << first << " + " << k;
      }
      for (std::size_t k = static_cast<std::size_t>(done); k < to.size(); ++k) ASSERT_EQ(to[k], -7);
    }
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
