#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class ElementwiseTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(ElementwiseTest);

// One rounding each: equal to the plain loop, and nothing beyond n is touched.
TEST_P(ElementwiseTest, EqualsThePlainLoopAndStaysInBounds) {
  const ElementwiseKernels& k = kernels().elementwise;
  constexpr float kGuard = 77;
  for (const std::int64_t n : kEdgeSizes) {
    const auto size = static_cast<std::size_t>(n);
    const Vec1 a = uniform(n, -2, 2, 1), b = uniform(n, -2, 2, 2);
    Vec1 sum(size + 1, kGuard), product = sum, scaled = sum, filled = sum;
    k.add(n, a.data(), b.data(), sum.data());
    k.multiply(n, a.data(), b.data(), product.data());
    k.scale(n, 0.3f, a.data(), scaled.data());
    k.fill(n, 5, filled.data());
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ(sum[i], a[i] + b[i]);
      EXPECT_EQ(product[i], a[i] * b[i]);
      EXPECT_EQ(scaled[i], 0.3f * a[i]);
      EXPECT_EQ(filled[i], 5);
    }
    for (const Vec1* out : {&sum, &product, &scaled, &filled}) EXPECT_EQ(out->back(), kGuard) << n;
  }
}

TEST_P(ElementwiseTest, AxpyAddsInPlace) {
  for (const std::int64_t n : kEdgeSizes) {
    const Vec1 x = uniform(n, -2, 2, 1);
    Vec1 y = uniform(n, -2, 2, 2);
    Ref1 want(y.begin(), y.end());
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += 0.7f * double{x[i]};
    kernels().elementwise.axpy(n, 0.7f, x.data(), y.data());
    EXPECT_TRUE(near(y, want, 1)) << n;
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
