#include "kernels/gemm.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

double value(Activation kind, double x) {
  switch (kind) {
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    default:
      return x;
  }
}

Doubles product(const Gemm& s, const Floats& a, const Floats& b) {
  Doubles y(static_cast<std::size_t>(s.m * s.n));
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = 0; j < s.n; ++j) {
      for (std::int64_t k = 0; k < s.k; ++k) {
        const std::int64_t left = s.layout == Layout::tn ? k * s.m + i : i * s.k + k;
        const std::int64_t right = s.layout == Layout::nt ? j * s.k + k : k * s.n + j;
        y[static_cast<std::size_t>(i * s.n + j)] +=
            static_cast<double>(a[static_cast<std::size_t>(left)]) * b[static_cast<std::size_t>(right)];
      }
    }
  }
  return y;
}

struct Size {
  std::int64_t m, n, k;
};
// Around the tiles of 32 and 64, the depths of 16 and 32, and the slices of 512; k = 0; one row or column.
constexpr Size kSizes[] = {{1, 1, 1},   {32, 64, 10}, {31, 33, 31}, {33, 31, 33},  {65, 63, 17},
                           {1, 67, 64}, {64, 1, 64},  {5, 3, 0},    {10, 64, 520}, {40, 36, 4100}};

TEST(GemmTest, ThreeLayoutsAndEverySizeAroundTheTiles) {
  for (const Layout layout : {Layout::nn, Layout::nt, Layout::tn}) {
    for (const Size& z : kSizes) {
      const Gemm s{layout, z.m, z.n, z.k};
      const Floats a = uniform(s.m * s.k, -1, 1), b = uniform(s.k * s.n, -1, 1, 2);
      for (const Accumulate mode : kModes) {
        const Floats old_y = before(mode, static_cast<std::size_t>(s.m * s.n));
        const Floats y = everywhere([&](const Way& way) {
          Array<float> left(way, a), right(way, b), out(way, old_y);
          Array<float> scratch(way, static_cast<std::size_t>(gemm_scratch_floats(s.m, s.n, s.k)));
          gemm(way.gpu, s, left, right, {.mode = mode}, out, scratch);
          return out.read();
        });
        Doubles want = product(s, a, b);
        for (std::size_t i = 0; i < want.size(); ++i) want[i] += old(mode, old_y, i);
        expect_close(y, want, s.k);
      }
    }
  }
}

TEST(GemmTest, SumsOfColumnsComeWithTheProductOfTransposed) {
  for (const Size& z : kSizes) {
    const Gemm s{Layout::tn, z.m, z.n, z.k};
    const Floats a = uniform(s.m * s.k, -1, 1), b = uniform(s.k * s.n, -1, 1, 2);
    for (const Accumulate mode : kModes) {
      const Floats old_sums = before(mode, static_cast<std::size_t>(s.n));
      const Floats both = everywhere([&](const Way& way) {
        Array<float> left(way, a), right(way, b), out(way, static_cast<std::size_t>(s.m * s.n)),
            sums(way, old_sums);
        Array<float> scratch(way, static_cast<std::size_t>(gemm_scratch_floats(s.m, s.n, s.k, 1, true)));
        gemm(way.gpu, s, left, right, {}, out, scratch, {sums, mode});
        return join({sums.read(), out.read()});
      });
      Doubles want(static_cast<std::size_t>(s.n));
      for (std::size_t i = 0; i < b.size(); ++i) want[i % want.size()] += b[i];
      for (std::size_t i = 0; i < want.size(); ++i) want[i] += old(mode, old_sums, i);
      expect_close(part(both, 0, want.size()), want, s.k);
      expect_close(part(both, want.size(), static_cast<std::size_t>(s.m * s.n)), product(s, a, b), s.k);
    }
  }
}

TEST(GemmTest, LargeTilesAreUsedAndRight) {
  const Gemm s{Layout::nt, 705, 770, 19};
  ASSERT_EQ(gemm_tiling(s.m, s.n, s.k).micro, 4);
  if (kSmallTests) GTEST_SKIP() << "too large for a sanitizer";
  const Floats a = uniform(s.m * s.k, -1, 1), b = uniform(s.k * s.n, -1, 1, 2);
  const Floats y = everywhere([&](const Way& way) {
    Array<float> left(way, a), right(way, b), out(way, static_cast<std::size_t>(s.m * s.n));
    gemm(way.gpu, s, left, right, {}, out, nullptr);
    return out.read();
  });
  expect_close(y, product(s, a, b), s.k);
}

TEST(GemmTest, TheEpilogueIsBiasActivationSlope) {
  for (const std::int64_t k : {37, 1500}) {  // in one slice, and in several
    const Gemm s{Layout::nn, 34, 35, k};
    const Floats a = uniform(s.m * s.k, -0.3f, 0.3f), b = uniform(s.k * s.n, -0.3f, 0.3f, 2),
                 bias = uniform(s.n, -1, 1, 3);
    const Floats y_before = uniform(s.m * s.n, -1, 1, 4);
    for (const Activation kind :
         {Activation::linear, Activation::relu, Activation::sigmoid, Activation::tanh}) {
      const Floats both = everywhere([&](const Way& way) {
        Array<float> left(way, a), right(way, b), offset(way, bias), kept(way, y_before);
        Array<float> forward(way, static_cast<std::size_t>(s.m * s.n)),
            backward(way, static_cast<std::size_t>(s.m * s.n));
        Array<float> scratch(way, static_cast<std::size_t>(gemm_scratch_floats(s.m, s.n, s.k)));
        gemm(way.gpu, s, left, right, {.bias = offset, .activation = kind}, forward, scratch);
        gemm(way.gpu, s, left, right, {.y_before = kept, .slope = kind}, backward, scratch);
        return join({forward.read(), backward.read()});
      });
      const Doubles sums = product(s, a, b);
      Doubles want;
      for (std::size_t i = 0; i < sums.size(); ++i)
        want.push_back(value(kind, sums[i] + bias[i % static_cast<std::size_t>(s.n)]));
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const double y = y_before[i];
        const double slope = kind == Activation::relu      ? (y > 0 ? 1.0 : 0.0)
                             : kind == Activation::sigmoid ? y * (1 - y)
                             : kind == Activation::tanh    ? 1 - y * y
                                                           : 1.0;
        want.push_back(sums[i] * slope);
      }
      expect_near(both, want, 1e-4, 1e-5);
    }
  }
}

// In one launch where both are small, else in two: the bits of either alone.
TEST(GemmTest, GradientsTogetherAreThoseApart) {
  struct Sizes {
    std::int64_t rows, in, out;
    bool pair;
  };
  for (const Sizes& z : {Sizes{32, 64, 1, true}, Sizes{33, 31, 65, true}, Sizes{1, 1, 1, true},
                         Sizes{0, 5, 4, true}, Sizes{512, 9, 7, true}, Sizes{513, 9, 7, false}}) {
    ASSERT_EQ(gradients_pair(z.rows, z.in, z.out), z.pair);
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const Floats x = uniform(z.rows * z.in, -1, 1), w = uniform(z.in * z.out, -1, 1, 2),
                 dz = uniform(z.rows * z.out, -1, 1, 3);
    for (const Accumulate mode : kModes) {
      for (const bool slope : {false, true}) {
        const auto run = [&](const Way& way, bool together) {
          Array<float> in(way, x), weights(way, w), from(way, dz), dx(way, before(mode, x.size())),
              dw(way, before(mode, w.size())), db(way, before(mode, size(z.out)));
          Epilogue e{.mode = mode};
          if (slope) e.y_before = in, e.slope = Activation::tanh;
          Array<float> scratch(way, size(gemm_scratch_floats(z.in, z.out, z.rows, 1, true)));
          if (together) {
            gemm_gradients(way.gpu, {z.rows, z.in, z.out, in, weights, from, dx, dw, e, mode, {db, mode}},
                           scratch);
          } else {
            gemm(way.gpu, {Layout::nt, z.rows, z.in, z.out}, from, weights, e, dx, nullptr);
            gemm(way.gpu, {Layout::tn, z.in, z.out, z.rows}, in, from, {.mode = mode}, dw, scratch,
                 {db, mode});
          }
          return join({dx.read(), dw.read(), db.read()});
        };
        const Floats apart = run({Gpu{nullptr, 7}, 0}, false);
        const Floats together = everywhere([&](const Way& way) { return run(way, true); });
        EXPECT_EQ(together, apart) << z.rows << " " << z.in << " " << z.out;
        const Doubles dx = product({Layout::nt, z.rows, z.in, z.out}, dz, w);
        if (mode == Accumulate::overwrite && !slope) expect_close(part(together, 0, x.size()), dx, z.out);
      }
    }
  }
}

TEST(GemmTest, NaNStaysInItsRowAndColumn) {
  const Gemm s{Layout::nn, 40, 40, 40};
  Floats a = uniform(1600, -1, 1), b = uniform(1600, -1, 1, 2);
  a[3 * 40 + 7] = NAN;
  const Floats y = everywhere([&](const Way& way) {
    Array<float> left(way, a), right(way, b), out(way, 1600);
    gemm(way.gpu, s, left, right, {}, out, nullptr);
    return out.read();
  });
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(std::isnan(y[i]), i / 40 == 3) << i;
}

TEST(GemmTest, RefusesWhatItCannotDo) {
  float x = 0;
  EXPECT_THROW(
      gemm({}, {Layout::nn, 1, 1, 1}, &x, &x, {.y_before = &x, .slope = Activation::gelu}, &x, nullptr),
      UsageError);
  EXPECT_THROW(gemm({}, {Layout::nn, 8, 8, 5000}, &x, &x, {}, &x, nullptr), UsageError);
  EXPECT_THROW(gemm({}, {Layout::nn, 1, 1, 1}, &x, &x, {}, &x, nullptr, {&x}), UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
