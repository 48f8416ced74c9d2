#include <limits>

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class PoolTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(PoolTest);

// Plain, overlapping, gaps between windows, padded, global.
std::vector<Pool2d> shapes(std::int64_t channels) {
  return {
      {.batch = 2,
       .height = 6,
       .width = 7,
       .channels = channels,
       .window_h = 2,
       .window_w = 2,
       .stride_h = 2,
       .stride_w = 2,
       .out_h = 3,
       .out_w = 3},
      {.batch = 2,
       .height = 5,
       .width = 6,
       .channels = channels,
       .window_h = 3,
       .window_w = 2,
       .stride_h = 1,
       .stride_w = 1,
       .out_h = 3,
       .out_w = 5},
      {.batch = 1,
       .height = 7,
       .width = 7,
       .channels = channels,
       .window_h = 2,
       .window_w = 2,
       .stride_h = 3,
       .stride_w = 3,
       .out_h = 2,
       .out_w = 2},
      {.batch = 2,
       .height = 5,
       .width = 5,
       .channels = channels,
       .window_h = 3,
       .window_w = 3,
       .stride_h = 2,
       .stride_w = 2,
       .pad_top = 1,
       .pad_left = 1,
       .out_h = 3,
       .out_w = 3},
      {.batch = 3,
       .height = 4,
       .width = 5,
       .channels = channels,
       .window_h = 4,
       .window_w = 5,
       .out_h = 1,
       .out_w = 1},
  };
}

// f(output index, index into x, position in its image) for all positions of all windows, in order.
template <class F>
void for_all(const Pool2d& p, F f) {
  std::size_t output = 0;
  for (std::int64_t n = 0; n < p.batch; ++n) {
    for (std::int64_t r = 0; r < p.out_h; ++r) {
      for (std::int64_t s = 0; s < p.out_w; ++s) {
        for (std::int64_t c = 0; c < p.channels; ++c, ++output) {
          for (std::int64_t i = 0; i < p.window_h; ++i) {
            for (std::int64_t j = 0; j < p.window_w; ++j) {
              const std::int64_t row = r * p.stride_h - p.pad_top + i,
                                 column = s * p.stride_w - p.pad_left + j;
              if (row < 0 || row >= p.height || column < 0 || column >= p.width) continue;
              const std::int64_t position = row * p.width + column;
              f(output, static_cast<std::size_t>((n * p.height * p.width + position) * p.channels + c),
                position);
            }
          }
        }
      }
    }
  }
}

std::int64_t inputs(const Pool2d& p) {
  return p.batch * p.height * p.width * p.channels;
}
std::int64_t outputs(const Pool2d& p) {
  return p.batch * p.out_h * p.out_w * p.channels;
}

TEST_P(PoolTest, MaxAndItsGradient) {
  for (const std::int64_t channels : {1, 8, 17}) {
    for (const Pool2d& p : shapes(channels)) {
      Vec1 x = uniform(inputs(p), -1, 1, 1);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::round(x[i] * 4);  // ties: the first wins
      if (x.size() > 30) x[20] = std::nanf(""), x[25] = -std::numeric_limits<float>::infinity();
      const auto size = static_cast<std::size_t>(outputs(p));
      std::vector<std::int64_t> winner(size, -1), place(size);
      for_all(p, [&](std::size_t o, std::size_t i, std::int64_t position) {
        if (winner[o] < 0 || x[i] > x[static_cast<std::size_t>(winner[o])] ||
            (std::isnan(x[i]) && !std::isnan(x[static_cast<std::size_t>(winner[o])]))) {
          winner[o] = static_cast<std::int64_t>(i), place[o] = position;
        }
      });
      Vec1 y(size), fresh(x.size(), std::nanf("")), added(x.size(), 2);
      std::vector<std::int32_t> argmax(size);
      const Vec1 dy = uniform(outputs(p), -1, 1, 2);
      kernels().pool.max(p, x.data(), y.data(), argmax.data());
      kernels().pool.max_backward(p, dy.data(), argmax.data(), fresh.data(), false);
      kernels().pool.max_backward(p, dy.data(), argmax.data(), added.data(), true);
      Ref1 dx(x.size(), 0.0), more(x.size(), 2.0);
      for (std::size_t o = 0; o < size; ++o) {
        const float want = x[static_cast<std::size_t>(winner[o])];
        ASSERT_TRUE(y[o] == want || (std::isnan(y[o]) && std::isnan(want)));
        ASSERT_EQ(argmax[o], place[o]);
        dx[static_cast<std::size_t>(winner[o])] += dy[o], more[static_cast<std::size_t>(winner[o])] += dy[o];
      }
      EXPECT_TRUE(near(fresh, dx, 4));
      EXPECT_TRUE(near(added, more, 4));
    }
  }
}

TEST_P(PoolTest, AverageAndItsGradient) {
  for (const std::int64_t channels : {1, 8, 17}) {
    for (const Pool2d& p : shapes(channels)) {
      const Vec1 x = uniform(inputs(p), -1, 1, 1), dy = uniform(outputs(p), -1, 1, 2);
      Vec1 y(dy.size()), fresh(x.size(), std::nanf("")), added(x.size(), 2);
      kernels().pool.average(p, x.data(), y.data());
      kernels().pool.average_backward(p, dy.data(), fresh.data(), false);
      kernels().pool.average_backward(p, dy.data(), added.data(), true);
      Ref1 count(dy.size()), want(dy.size()), dx(x.size(), 0.0), more(x.size(), 2.0);
      for_all(p, [&](std::size_t o, std::size_t, std::int64_t) { ++count[o]; });
      for_all(p, [&](std::size_t o, std::size_t i, std::int64_t) {
        want[o] += x[i] / count[o], dx[i] += dy[o] / count[o], more[i] += dy[o] / count[o];
      });
      EXPECT_TRUE(near(y, want, 20));
      EXPECT_TRUE(near(fresh, dx, 9));
      EXPECT_TRUE(near(added, more, 9));
    }
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
