#include "src/cpu/simd/denormals.hpp"
#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class OptimizerTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(OptimizerTest);

// Ten steps: what one step hides (moments of zero, a velocity of zero) shows.
TEST_P(OptimizerTest, AdamFollowsKerassFormula) {
  for (const std::int64_t n : kEdgeSizes) {
    for (const float decay : {0.0f, 0.01f}) {
      const auto size = static_cast<std::size_t>(n);
      Vec1 w = uniform(n, -1, 1, 1), m(size), v(size);
      Ref1 want(w.begin(), w.end()), rm(size), rv(size);
      for (int t = 1; t <= 10; ++t) {
        const Vec1 g = uniform(n, -1, 1, static_cast<unsigned>(t + 5));
        const double lr = 0.01, alpha = lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
        const AdamStep step{
            .alpha = static_cast<float>(alpha), .decay = decay, .l2 = 0.1f, .gradient_scale = 0.5f};
        kernels().optimizer.adam(step, n, w.data(), g.data(), m.data(), v.data());
        for (std::size_t i = 0; i < size; ++i) {
          const double d = 0.5 * g[i] + 0.1 * want[i];
          rm[i] = 0.9 * rm[i] + 0.1 * d;
          rv[i] = 0.999 * rv[i] + 0.001 * d * d;
          want[i] -= decay * want[i];
          want[i] -= alpha * rm[i] / (std::sqrt(rv[i]) + 1e-7);
        }
      }
      EXPECT_TRUE(near(w, want, 40)) << n;
      EXPECT_TRUE(near(m, rm, 40)) << n;
    }
  }
}

TEST_P(OptimizerTest, SgdWithMomentumAndNesterov) {
  for (const std::int64_t n : kEdgeSizes) {
    for (const bool nesterov : {false, true}) {
      for (const float momentum : {0.0f, 0.9f}) {
        const auto size = static_cast<std::size_t>(n);
        Vec1 w = uniform(n, -1, 1, 1), u(size);
        Ref1 want(w.begin(), w.end()), ru(size);
        const SgdStep step{.learning_rate = 0.1f,
                           .momentum = momentum,
                           .nesterov = nesterov,
                           .decay = 0.01f,
                           .gradient_scale = 2};
        for (unsigned t = 0; t < 10; ++t) {
          const Vec1 g = uniform(n, -1, 1, t + 5);
          kernels().optimizer.sgd(step, n, w.data(), g.data(), momentum > 0 ? u.data() : nullptr);
          for (std::size_t i = 0; i < size; ++i) {
            const double s = 0.1 * 2 * g[i];
            ru[i] = momentum * ru[i] - s;
            want[i] -= 0.01 * want[i];
            want[i] += momentum == 0 ? -s : nesterov ? momentum * ru[i] - s : ru[i];
          }
        }
        EXPECT_TRUE(near(w, want, 40)) << n << nesterov << momentum;
      }
    }
  }
}

TEST_P(OptimizerTest, SumsKeepTheirOrder) {
  for (const std::int64_t n : {0, 1, 17, 4096, 4097, 100003}) {
    const Vec1 x = uniform(n, -1, 1, 1), y = uniform(n, -1, 1, 2);
    double want = 0;
    for (const float v : x) want += double{v} * v;
    EXPECT_NEAR(kernels().optimizer.sum_of_squares(n, x.data()), want, 1e-6 * want) << n;
  }
  for (const std::int64_t n : {0, 1, 17, 4096, 4099}) {
    for (const std::int64_t parts : {1, 3, 4, 5, 9}) {
      const std::int64_t stride = n + 3;
      const Vec1 x = uniform(parts * stride, -1, 1, 1);
      Vec1 fresh(static_cast<std::size_t>(n) + 1, 9), added(fresh.size(), 0.5f);
      kernels().optimizer.sum_parts(n, parts, x.data(), stride, fresh.data(), false);
      kernels().optimizer.sum_parts(n, parts, x.data(), stride, added.data(), true);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto part = [&](std::int64_t p) { return x[static_cast<std::size_t>(p * stride + i)]; };
        float want = part(0), more = 0.5f + part(0);
        for (std::int64_t p = 1; p < parts; ++p) want += part(p), more += part(p);
        ASSERT_EQ(fresh[static_cast<std::size_t>(i)], want) << parts << " parts";
        ASSERT_EQ(added[static_cast<std::size_t>(i)], more) << parts << " parts";
      }
      EXPECT_EQ(fresh.back(), 9);
      EXPECT_EQ(added.back(), 0.5f);
    }
  }
}

TEST(FlushDenormals, FlushesInItsScopeAlone) {
#if defined(__x86_64__)
  volatile float tiny = 1e-39f;
  {
    const FlushDenormals flush;
    volatile float half = tiny * 0.5f;
    EXPECT_EQ(half, 0);
  }
  volatile float half = tiny * 0.5f;
  EXPECT_NE(half, 0);
#else
  GTEST_SKIP() << "only x86 has the switch";
#endif
}

}  // namespace
}  // namespace gpunn::cpu::simd
