#include "tests/simd/conv_cases.hpp"
#include "tests/simd/conv_oracle.hpp"

namespace gpunn::cpu::simd {
namespace {

class ConvGradientTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(ConvGradientTest);

Ref1 plus(Ref1 v, double x) {
  for (double& each : v) each += x;
  return v;
}

double terms(const Conv2d& c) {
  return static_cast<double>(c.batch * c.out_h * c.out_w);
}

TEST_P(ConvGradientTest, Weights) {
  const ConvGradientKernels& k = kernels().conv_gradient;
  for (const Case& a : kCases) {
    const Conv2d c = shape_of(a, 1, 3);
    const Operands o(c);
    const Vec1 dy = uniform(c.batch * c.y_image, -1, 1, 5);
    const oracle::WeightGradient want = oracle::weight_gradient(c, o.x, dy);
    Vec1 scratch = nans(k.weights_scratch_floats(c)), dw = nans(static_cast<std::int64_t>(o.w.size())),
         db = nans(c.filters);
    k.weights(c, o.x.data(), dy.data(), dw.data(), db.data(), false, scratch.data());
    EXPECT_TRUE(near(dw, want.dw, terms(c))) << describe(c);
    EXPECT_TRUE(near(db, want.db, terms(c))) << describe(c);
    std::fill(dw.begin(), dw.end(), 2.0f);
    k.weights(c, o.x.data(), dy.data(), dw.data(), nullptr, true, scratch.data());
    EXPECT_TRUE(near(dw, plus(want.dw, 2), terms(c))) << describe(c);
  }
}

// The pooled gradient spread out to the places of its winners: what the unpooled gradients see.
struct Spread {
  Conv2d c;
  Vec1 dz;
};

Spread spread(const Conv2d& pooled, const Vec1& dy, const std::vector<std::uint8_t>& winners) {
  Spread s{pooled, {}};
  s.c.out_h = 2 * pooled.out_h, s.c.out_w = 2 * pooled.out_w;
  s.c.y_row = s.c.out_w * pooled.filters, s.c.y_image = s.c.out_h * s.c.y_row;
  s.dz.assign(static_cast<std::size_t>(s.c.batch * s.c.y_image), 0);
  oracle::for_outputs(pooled, [&](auto n, auto r, auto column, auto f, auto i) {
    const int won = winners[i];
    if (won == kDead) return;
    const auto at =
        n * s.c.y_image + (2 * r + won / 2) * s.c.y_row + (2 * column + won % 2) * pooled.filters + f;
    s.dz[static_cast<std::size_t>(at)] = dy[i];
  });
  return s;
}

std::vector<std::uint8_t> any_winners(std::size_t n) {
  std::mt19937 bits(8);
  std::vector<std::uint8_t> winners(n);
  for (std::uint8_t& w : winners) w = static_cast<std::uint8_t>(bits() % 5);  // a fifth is dead
  return winners;
}

TEST_P(ConvGradientTest, WeightsThroughThePool) {
  const ConvGradientKernels& k = kernels().conv_gradient;
  for (const Case& a : kCases) {
    const Conv2d c = shape_of(a, 2, 3);
    const Operands o(c);
    const Vec1 dy = uniform(c.batch * c.y_image, -1, 1, 5);
    const auto winners = any_winners(dy.size());
    const Spread s = spread(c, dy, winners);
    const oracle::WeightGradient want = oracle::weight_gradient(s.c, o.x, s.dz);
    Vec1 scratch = nans(k.pooled_weights_scratch_floats(c)), dw = nans(static_cast<std::int64_t>(o.w.size())),
         db = nans(c.filters);
    k.pooled_weights(c, o.x.data(), dy.data(), winners.data(), dw.data(), db.data(), false, scratch.data());
    EXPECT_TRUE(near(dw, want.dw, terms(c))) << describe(c);
    EXPECT_TRUE(near(db, want.db, terms(c))) << describe(c);
    std::fill(dw.begin(), dw.end(), 2.0f);
    std::fill(db.begin(), db.end(), 2.0f);
    k.pooled_weights(c, o.x.data(), dy.data(), winners.data(), dw.data(), db.data(), true, scratch.data());
    EXPECT_TRUE(near(dw, plus(want.dw, 2), terms(c))) << describe(c);
    EXPECT_TRUE(near(db, plus(want.db, 2), terms(c))) << describe(c);
    k.pooled_weights(c, o.x.data(), dy.data(), winners.data(), dw.data(), nullptr, false, scratch.data());
    EXPECT_TRUE(near(dw, want.dw, terms(c))) << describe(c);
  }
}

TEST_P(ConvGradientTest, DataThroughThePool) {
  const ConvGradientKernels& k = kernels().conv_gradient;
  for (const Case& a : kCases) {
    const Conv2d c = shape_of(a, 2, 3);
    const Operands o(c);
    const Vec1 dy = uniform(c.batch * c.y_image, -1, 1, 5);
    const auto winners = any_winners(dy.size());
    const Spread s = spread(c, dy, winners);
    const Ref1 want = oracle::data_gradient(s.c, s.dz, o.w);
    Vec1 scratch = nans(k.pooled_data_scratch_floats(c)), by_filter = nans(k.by_filter_floats(c)),
         dx = nans(c.batch * c.x_image);
    k.prepare_by_filter(c, o.w.data(), by_filter.data());
    k.pooled_data(c, by_filter.data(), dy.data(), winners.data(), dx.data(), false, scratch.data());
    const double products = static_cast<double>(c.kernel_h * c.kernel_w * c.filters);
    EXPECT_TRUE(near(dx, want, products)) << describe(c);
    std::fill(dx.begin(), dx.end(), 2.0f);
    k.pooled_data(c, by_filter.data(), dy.data(), winners.data(), dx.data(), true, scratch.data());
    EXPECT_TRUE(near(dx, plus(want, 2), products)) << describe(c);
  }
}

// More windows than are listed at once, more filters than one word of bits, kernel rows longer than the
// registers hold.
TEST_P(ConvGradientTest, LargeShapesThroughThePool) {
  const ConvGradientKernels& k = kernels().conv_gradient;
  const Conv2d c = shape_of({22, 20, 70, 3, 5, 130, 1}, 2, 1);
  const Operands o(c);
  const Vec1 dy = uniform(c.y_image, -1, 1, 5);
  const auto winners = any_winners(dy.size());
  const Spread s = spread(c, dy, winners);
  const oracle::WeightGradient want = oracle::weight_gradient(s.c, o.x, s.dz);
  Vec1 scratch = nans(std::max(k.pooled_weights_scratch_floats(c), k.pooled_data_scratch_floats(c)));
  Vec1 dw = nans(static_cast<std::int64_t>(o.w.size())), by_filter = nans(k.by_filter_floats(c)),
       dx = nans(c.x_image);
  k.pooled_weights(c, o.x.data(), dy.data(), winners.data(), dw.data(), nullptr, false, scratch.data());
  EXPECT_TRUE(near(dw, want.dw, terms(c)));
  k.prepare_by_filter(c, o.w.data(), by_filter.data());
  k.pooled_data(c, by_filter.data(), dy.data(), winners.data(), dx.data(), false, scratch.data());
  EXPECT_TRUE(near(dx, oracle::data_gradient(s.c, s.dz, o.w), depth(c)));
}

}  // namespace
}  // namespace gpunn::cpu::simd
