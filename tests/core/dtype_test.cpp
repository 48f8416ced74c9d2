#include "gpunn/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace gpunn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Every finite 16-bit float, its neighbour, and the float half-way between them decide all of rounding to
// nearest even.
template <class Half, class Round>
void check_every_value(std::uint16_t infinity, Round round) {
  for (std::uint16_t bits = 0; bits < infinity; ++bits) {
    const float here = to_float(Half{bits});
    EXPECT_EQ(round(here).bits, bits);
    EXPECT_EQ(round(-here).bits, bits | 0x8000);
    const auto above = static_cast<std::uint16_t>(bits + 1);
    // At the top, the next value counts as if exponents went on.
    const double next = above == infinity ? 2.0 * here - to_float(Half{static_cast<std::uint16_t>(bits - 1)})
                                          : double{to_float(Half{above})};
    const double middle = (here + next) / 2;
    if (middle > std::numeric_limits<float>::max()) continue;
    const auto tie = static_cast<float>(middle);
    ASSERT_EQ(double{tie}, middle);
    EXPECT_EQ(round(tie).bits, bits % 2 == 0 ? bits : above) << here;
    EXPECT_EQ(round(std::nextafter(tie, 0.0f)).bits, bits) << here;
    EXPECT_EQ(round(std::nextafter(tie, kInfinity)).bits, above) << here;
  }
  EXPECT_EQ(round(kInfinity).bits, infinity);
  EXPECT_EQ(round(std::numeric_limits<float>::max()).bits, infinity);
  EXPECT_EQ(to_float(Half{infinity}), kInfinity);
  for (const std::uint32_t nan : {0x7FC00000u, 0x7F800001u, 0xFFFFFFFFu, 0x7FBFFFFFu}) {
    EXPECT_TRUE(std::isnan(to_float(round(std::bit_cast<float>(nan)))));
  }
  EXPECT_TRUE(std::isnan(to_float(Half{0xFFFF})));
}

TEST(Dtype, F16RoundsToNearestEven) {
  check_every_value<f16>(0x7C00, to_f16);
}
TEST(Dtype, Bf16RoundsToNearestEven) {
  check_every_value<bf16>(0x7F80, to_bf16);
}

TEST(Dtype, KnownHalves) {
  EXPECT_EQ(to_float(f16{0x3C00}), 1.0f);
  EXPECT_EQ(to_float(f16{0x0001}), 0x1p-24f);
  EXPECT_EQ(to_float(f16{0x7BFF}), 65504.0f);
  EXPECT_EQ(to_float(f16{0xC000}), -2.0f);
  EXPECT_EQ(to_float(bf16{0x3F80}), 1.0f);
  EXPECT_EQ(to_bf16(3.14159265f).bits, 0x4049);
  EXPECT_EQ(to_f16(3.14159265f).bits, 0x4248);
}

TEST(Dtype, NamesAndSizes) {
  EXPECT_EQ(to_string(Dtype::bf16), "bf16");
  EXPECT_EQ(to_string(Dtype::boolean), "bool");
  EXPECT_EQ(size_of(dtype_of<double>), 8u);
  EXPECT_EQ(size_of(dtype_of<f16>), 2u);
  EXPECT_EQ(size_of(dtype_of<bool>), 1u);
  EXPECT_TRUE(is_floating(Dtype::f16));
  EXPECT_FALSE(is_floating(Dtype::i64));
}

}  // namespace
}  // namespace gpunn
