#include <limits>

#include "tests/simd/conv_cases.hpp"
#include "tests/simd/conv_oracle.hpp"

namespace gpunn::cpu::simd {
namespace {

class ConvTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(ConvTest);

Vec1 run_forward(const ConvKernels& k, const Conv2d& c, const ConvEpilogue& e, const Vec1& x, const Vec1& w,
                 Vec1 y) {
  Vec1 prepared = nans(k.prepared_floats(c)), scratch = nans(k.scratch_floats(c));
  k.prepare(c, w.data(), prepared.data());
  k.forward(c, e, x.data(), prepared.data(), y.data(), scratch.data());
  return y;
}

TEST_P(ConvTest, ForwardWithEpilogues) {
  for (const Case& a : kCases) {
    const Conv2d c = shape_of(a, 1);
    const Operands o(c);
    const Ref1 plain = oracle::convolve(c, o.x, o.w, {}), biased = oracle::convolve(c, o.x, o.w, o.bias);
    const Vec1 kept = uniform(c.batch * c.y_image, -1, 1, 4);
    Ref1 relu = biased, added = plain, sloped = plain, tanh = biased;
    for (std::size_t i = 0; i < plain.size(); ++i) {
      relu[i] = std::max(relu[i], 0.0), added[i] += 3, sloped[i] *= kept[i] > 0, tanh[i] = std::tanh(tanh[i]);
    }
    const auto run = [&](const ConvEpilogue& e, Vec1 y) {
      return run_forward(kernels().conv, c, e, o.x, o.w, std::move(y));
    };
    const Vec1 fresh = nans(c.batch * c.y_image), threes(fresh.size(), 3);
    EXPECT_TRUE(near(run({}, fresh), plain, depth(c))) << describe(c);
    EXPECT_TRUE(near(run({.bias = o.bias.data(), .activation = Activation::relu}, fresh), relu, depth(c)))
        << describe(c);
    EXPECT_TRUE(near(run({.bias = o.bias.data(), .activation = Activation::tanh}, fresh), tanh, depth(c)))
        << describe(c);
    EXPECT_TRUE(near(run({.slope_of = Activation::relu, .kept = kept.data()}, fresh), sloped, depth(c)))
        << describe(c);
    EXPECT_TRUE(near(run({.add = true}, threes), added, depth(c))) << describe(c);
  }
}

TEST_P(ConvTest, DataGradientIsTheFlippedConvolution) {
  for (const Case& a : kCases) {
    const Conv2d c = shape_of(a, 1), back = backward_data(c);
    const Operands o(c);
    const Vec1 dy = uniform(c.batch * c.y_image, -1, 1, 5);
    Vec1 flipped(o.w.size());
    kernels().conv.flip(c, o.w.data(), flipped.data());
    const Vec1 dx = run_forward(kernels().conv, back, {}, dy, flipped, nans(c.batch * c.x_image));
    EXPECT_TRUE(near(dx, oracle::data_gradient(c, dy, o.w), depth(back))) << describe(c);
  }
}

TEST_P(ConvTest, PooledForwardAndItsWinners) {
  const ConvKernels& k = kernels().conv;
  for (const Case& a : kCases) {
    for (const Activation act : {Activation::relu, Activation::linear, Activation::sigmoid}) {
      const Conv2d c = shape_of(a, 2);
      const Operands o(c);
      const oracle::Pooled want = oracle::convolve_pooled(c, o.x, o.w, o.bias, act);
      Vec1 prepared = nans(k.prepared_floats(c)), scratch = nans(k.pooled_scratch_floats(c)),
           y = nans(c.batch * c.y_image);
      std::vector<std::uint8_t> winners(y.size(), 99);
      k.prepare(c, o.w.data(), prepared.data());
      k.forward_pooled(c, o.bias.data(), act, o.x.data(), prepared.data(), y.data(), winners.data(),
                       scratch.data());
      EXPECT_TRUE(near(y, want.y, depth(c))) << describe(c);
      // Near a tie either element may win.
      std::size_t different = 0;
      for (std::size_t i = 0; i < winners.size(); ++i)
        different += winners[i] != want.winners[i] && want.margin[i] > 1e-5;
      EXPECT_EQ(different, 0u) << describe(c) << " " << k.method(c);
    }
  }
}

TEST_P(ConvTest, OnlyTheExtentThatIsAskedForIsComputed) {
  for (const bool pooled : {false, true}) {
    for (const std::int64_t channels : {1, 16}) {
      Conv2d c = shape_of({10, 10, channels, 3, 3, 20, 0}, pooled ? 2 : 1);
      const Operands o(c);
      const Ref1 want = pooled ? oracle::convolve_pooled(c, o.x, o.w, o.bias, Activation::relu).y
                               : oracle::convolve(c, o.x, o.w, {});
      const std::int64_t rows = --c.out_h, columns = --c.out_w;
      const ConvKernels& k = kernels().conv;
      Vec1 prepared = nans(k.prepared_floats(c)), scratch = nans(k.pooled_scratch_floats(c)),
           y(want.size(), 7);
      std::vector<std::uint8_t> winners(y.size());
      k.prepare(c, o.w.data(), prepared.data());
      if (pooled) {
        k.forward_pooled(c, o.bias.data(), Activation::relu, o.x.data(), prepared.data(), y.data(),
                         winners.data(), scratch.data());
      } else {
        y = run_forward(k, c, {}, o.x, o.w, y);
      }
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) {
        const std::int64_t row = i % c.y_image / c.y_row, column = i % c.y_row / c.filters;
        const double expected = row < rows && column < columns ? want[static_cast<std::size_t>(i)] : 7;
        ASSERT_NEAR(y[static_cast<std::size_t>(i)], expected, 1e-4) << row << " " << column;
      }
    }
  }
}

// A slice of the batch gives the bits of the whole.
TEST_P(ConvTest, ImagesDoNotDependOnTheirNeighbours) {
  for (const Case& a : kCases) {
    const Conv2d whole = shape_of(a, 1, 3);
    Conv2d one = whole;
    one.batch = 1;
    const Operands o(whole);
    const Vec1 last(o.x.begin() + 2 * whole.x_image, o.x.end());
    const Vec1 all = run_forward(kernels().conv, whole, {}, o.x, o.w, nans(3 * whole.y_image));
    const Vec1 alone = run_forward(kernels().conv, one, {}, last, o.w, nans(whole.y_image));
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + 2 * whole.y_image)) << describe(whole);
  }
}

TEST_P(ConvTest, NanWinsItsWindowAndLives) {
  const ConvKernels& k = kernels().conv;
  for (const std::int64_t channels : {1, 8}) {
    const Conv2d c = shape_of({6, 6, channels, 3, 3, 8, 0}, 2, 1);
    Operands o(c);
    o.x[0] =
        std::nanf("");  // seen by the first output of the first window (and by all four through Winograd)
    Vec1 prepared = nans(k.prepared_floats(c)), scratch = nans(k.pooled_scratch_floats(c)),
         y = nans(c.y_image);
    std::vector<std::uint8_t> winners(y.size(), 99);
    k.prepare(c, o.w.data(), prepared.data());
    k.forward_pooled(c, o.bias.data(), Activation::relu, o.x.data(), prepared.data(), y.data(),
                     winners.data(), scratch.data());
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i < 8) << i;
    for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(winners[i], 0);
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
