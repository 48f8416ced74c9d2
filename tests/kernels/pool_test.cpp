#include "kernels/pool.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

struct Case {
  std::int64_t batch, channels, height, width, window_h, window_w, stride_h, stride_w, pad_h, pad_w;
};

std::int64_t positions(std::int64_t in, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  return (in + 2 * pad - window) / stride + 1;
}
PoolGeometry geometry(const Case& c) {
  return {.batch = c.batch,
          .channels = c.channels,
          .height = {c.window_h, c.stride_h, c.pad_h, c.height,
                     positions(c.height, c.window_h, c.stride_h, c.pad_h)},
          .width = {c.window_w, c.stride_w, c.pad_w, c.width,
                    positions(c.width, c.window_w, c.stride_w, c.pad_w)}};
}

constexpr Case kCases[] = {
    {2, 4, 6, 8, 2, 2, 2, 2, 0, 0},   {1, 3, 7, 5, 3, 2, 2, 1, 1, 0}, {2, 8, 5, 5, 3, 3, 1, 1, 1, 1},
    {3, 1, 26, 26, 2, 2, 2, 2, 0, 0}, {2, 5, 9, 4, 9, 4, 1, 1, 0, 0}, {1, 4, 5, 7, 2, 2, 3, 3, 1, 1},
    {0, 4, 6, 6, 2, 2, 2, 2, 0, 0},
};

struct Pooled {
  Doubles max, average;
  std::vector<std::int64_t> argmax;
  Doubles dmax, daverage;  // gradients of x
};
Pooled reference(const PoolGeometry& g, const Floats& x, const Floats& dy) {
  Pooled r;
  r.dmax.assign(x.size(), 0), r.daverage.assign(x.size(), 0);
  std::size_t o = 0;
  for (std::int64_t n = 0; n < g.batch; ++n) {
    for (std::int64_t i = 0; i < g.height.out; ++i) {
      for (std::int64_t j = 0; j < g.width.out; ++j) {
        for (std::int64_t c = 0; c < g.channels; ++c, ++o) {
          double best = -INFINITY, sum = 0;
          std::int64_t where = -1;
          std::vector<std::size_t> seen;
          for (std::int64_t p = 0; p < g.height.window; ++p) {
            for (std::int64_t q = 0; q < g.width.window; ++q) {
              const std::int64_t row = i * g.height.stride - g.height.padding + p;
              const std::int64_t column = j * g.width.stride - g.width.padding + q;
              if (row < 0 || column < 0 || row >= g.height.in || column >= g.width.in) continue;
              const auto at =
                  static_cast<std::size_t>(((n * g.height.in + row) * g.width.in + column) * g.channels + c);
              seen.push_back(at);
              sum += x[at];
              const bool wins = where < 0 || x[at] > best || (std::isnan(x[at]) && !std::isnan(best));
              if (wins) best = x[at], where = row * g.width.in + column;
            }
          }
          r.max.push_back(best), r.argmax.push_back(where);
          r.average.push_back(sum / static_cast<double>(seen.size()));
          r.dmax[static_cast<std::size_t>((n * g.height.in * g.width.in + where) * g.channels + c)] += dy[o];
          for (const std::size_t at : seen) r.daverage[at] += dy[o] / static_cast<double>(seen.size());
        }
      }
    }
  }
  return r;
}

class PoolTest : public testing::TestWithParam<Case> {
 protected:
  PoolGeometry g = geometry(GetParam());
  std::int64_t inputs = g.batch * g.height.in * g.width.in * g.channels;
  std::int64_t outputs = g.batch * g.height.out * g.width.out * g.channels;
  Floats x = uniform(inputs, -1, 1), dy = uniform(outputs, -1, 1, 2);
};

TEST_P(PoolTest, ForwardFindsValuesAndPlaces) {
  for (float& v : x) v = std::round(4 * v) / 4;  // so that many are equal
  if (inputs > 9) x[7] = NAN, x[8] = INFINITY, x[3] = x[5];
  const Pooled want = reference(g, x, dy);
  std::vector<std::int32_t> places;
  const Floats max = everywhere([&](const Way& way) {
    Array<float> in(way, x), y(way, dy.size()), without(way, dy.size());
    Array<std::int32_t> argmax(way, dy.size());
    max_pool_forward(way.gpu, g, in, y, argmax);
    max_pool_forward(way.gpu, g, in, without, nullptr);
    places = argmax.read();
    expect_near(without.read(), want.max, 0);
    return y.read();
  });
  expect_near(max, want.max, 0);
  for (std::size_t o = 0; o < places.size(); ++o) ASSERT_EQ(places[o], want.argmax[o]) << o;
  const Floats average = everywhere([&](const Way& way) {
    Array<float> in(way, x), y(way, dy.size());
    average_pool_forward(way.gpu, g, in, y);
    return y.read();
  });
  expect_near(average, want.average, 1e-6, 1e-6);
}

TEST_P(PoolTest, BackwardReturnsEveryGradientOnce) {
  const Pooled want = reference(g, x, dy);
  const std::vector<std::int32_t> places(want.argmax.begin(), want.argmax.end());
  for (const Accumulate mode : kModes) {
    const Floats old_dx = before(mode, x.size());
    const Floats both = everywhere([&](const Way& way) {
      Array<float> flow(way, dy), dmax(way, old_dx), daverage(way, old_dx);
      Array<std::int32_t> argmax(way, places);
      max_pool_backward(way.gpu, g, mode, flow, argmax, dmax);
      average_pool_backward(way.gpu, g, mode, flow, daverage);
      return join({dmax.read(), daverage.read()});
    });
    Doubles expected;
    for (std::size_t i = 0; i < x.size(); ++i) expected.push_back(old(mode, old_dx, i) + want.dmax[i]);
    for (std::size_t i = 0; i < x.size(); ++i) expected.push_back(old(mode, old_dx, i) + want.daverage[i]);
    expect_near(both, expected, 1e-6, 1e-6);
  }
}

// x was made by an activation: its slope at x, which the kernel takes from the pool's output.
TEST_P(PoolTest, BackwardGoesThroughTheActivationBeforeThePool) {
  if (inputs > 9) x[3] = x[5] = 0;
  const Pooled want = reference(g, x, dy);
  const std::vector<std::int32_t> places(want.argmax.begin(), want.argmax.end());
  for (const Accumulate mode : kModes) {
    const Floats old_dx = before(mode, x.size());
    for (const Activation kind : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
      const Floats dx = everywhere([&](const Way& way) {
        Array<float> flow(way, dy), y(way, narrow(want.max)), out(way, old_dx);
        Array<std::int32_t> argmax(way, places);
        max_pool_backward(way.gpu, g, mode, flow, argmax, out, {kind, y});
        return out.read();
      });
      Doubles expected;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double at = x[i];
        const double slope = kind == Activation::relu      ? (at > 0 ? 1.0 : 0.0)
                             : kind == Activation::sigmoid ? at * (1 - at)
                                                           : 1 - at * at;
        expected.push_back(old(mode, old_dx, i) + want.dmax[i] * slope);
      }
      expect_near(dx, expected, 1e-6, 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Geometries, PoolTest, testing::ValuesIn(kCases));

TEST(PoolErrors, AWindowInThePaddingIsRefused) {
  const PoolGeometry g{.batch = 1, .channels = 1, .height = {2, 2, 2, 4, 2}, .width = {2, 2, 0, 4, 2}};
  EXPECT_THROW(max_pool_forward({}, g, nullptr, nullptr, nullptr), UsageError);
  // What is just too small or too far.
  for (const PoolAxis axis : {PoolAxis{0, 2, 0, 4, 2}, PoolAxis{2, 0, 0, 4, 2}, PoolAxis{2, 2, 0, 4, 3}}) {
    const PoolGeometry bad{.batch = 1, .channels = 1, .height = axis, .width = {2, 2, 0, 4, 2}};
    EXPECT_THROW(max_pool_forward({}, bad, nullptr, nullptr, nullptr), UsageError);
  }
  float y = 0;
  const PoolGeometry good{.batch = 0, .channels = 1, .height = {2, 2, 0, 4, 2}, .width = {2, 2, 0, 4, 2}};
  EXPECT_THROW(
      max_pool_backward({}, good, Accumulate::overwrite, nullptr, nullptr, nullptr, {Activation::gelu, &y}),
      UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
