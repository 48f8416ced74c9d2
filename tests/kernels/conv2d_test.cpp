#include "kernels/conv2d_direct.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

struct Case {
  std::int64_t batch, in, out, groups, height, width, kernel_h, kernel_w, stride, pad, dilation, pad_behind;
};

std::int64_t positions(std::int64_t in, std::int64_t kernel, const Case& c) {
  return (in + c.pad + c.pad_behind - (kernel - 1) * c.dilation - 1) / c.stride + 1;
}
ConvGeometry geometry(const Case& c) {
  return {.batch = c.batch,
          .in = c.in,
          .out = c.out,
          .groups = c.groups,
          .height = {c.height, positions(c.height, c.kernel_h, c), c.kernel_h, c.stride, c.pad, c.dilation},
          .width = {c.width, positions(c.width, c.kernel_w, c), c.kernel_w, c.stride, c.pad, c.dilation}};
}

constexpr Case kCases[] = {
    {2, 1, 32, 1, 9, 8, 3, 3, 1, 0, 1, 0},     // one channel: few taps, four outputs per thread
    {2, 1, 5, 1, 7, 7, 5, 3, 2, 1, 1, 2},      // one channel, odd outputs, uneven padding
    {2, 32, 64, 1, 5, 5, 3, 3, 1, 0, 1, 0},    // the second layer of the example, smaller
    {1, 5, 7, 1, 8, 6, 3, 2, 2, 1, 1, 0},      // odd everything
    {2, 12, 8, 4, 6, 6, 3, 3, 1, 1, 1, 1},     // groups
    {2, 6, 6, 6, 6, 5, 3, 3, 1, 1, 1, 1},      // depthwise
    {1, 4, 6, 2, 24, 24, 2, 2, 1, 0, 1, 0},    // groups; gradient of weights and bias in two slices
    {1, 40, 33, 1, 7, 7, 3, 3, 1, 2, 2, 2},    // dilated, taps over a slice? no: 360
    {1, 64, 36, 1, 4, 4, 3, 3, 3, 1, 1, 1},    // stride over the kernel's reach, k of 576: two slices
    {3, 16, 16, 1, 17, 17, 1, 1, 1, 0, 1, 0},  // 1 x 1; gradient of weights in several slices
    {0, 3, 4, 1, 5, 5, 3, 3, 1, 0, 1, 0},      // no image
};

struct Passes {
  Doubles y, dx, dw, db;
};
Passes reference(const ConvGeometry& g, const Floats& x, const Floats& w, const Floats& dy) {
  Passes p;
  p.y.assign(static_cast<std::size_t>(g.y_pixels() * g.out), 0);
  p.dx.assign(x.size(), 0), p.dw.assign(w.size(), 0);
  p.db.assign(static_cast<std::size_t>(g.out), 0);
  for (std::int64_t n = 0; n < g.batch; ++n) {
    for (std::int64_t i = 0; i < g.height.out; ++i) {
      for (std::int64_t j = 0; j < g.width.out; ++j) {
        for (std::int64_t o = 0; o < g.out; ++o) {
          const std::int64_t group = o / g.group_out();
          const auto at_y = static_cast<std::size_t>(((n * g.height.out + i) * g.width.out + j) * g.out + o);
          p.db[static_cast<std::size_t>(o)] += dy[at_y];
          for (std::int64_t r = 0; r < g.height.kernel; ++r) {
            for (std::int64_t s = 0; s < g.width.kernel; ++s) {
              const std::int64_t row = i * g.height.stride - g.height.padding + r * g.height.dilation;
              const std::int64_t column = j * g.width.stride - g.width.padding + s * g.width.dilation;
              if (row < 0 || column < 0 || row >= g.height.in || column >= g.width.in) continue;
              for (std::int64_t c = 0; c < g.group_in(); ++c) {
                const auto at_x = static_cast<std::size_t>(
                    ((n * g.height.in + row) * g.width.in + column) * g.in + group * g.group_in() + c);
                const auto at_w =
                    static_cast<std::size_t>(((r * g.width.kernel + s) * g.group_in() + c) * g.out + o);
                p.y[at_y] += static_cast<double>(x[at_x]) * w[at_w];
                p.dx[at_x] += static_cast<double>(dy[at_y]) * w[at_w];
                p.dw[at_w] += static_cast<double>(dy[at_y]) * x[at_x];
              }
            }
          }
        }
      }
    }
  }
  return p;
}

class Conv2dTest : public testing::TestWithParam<Case> {
 protected:
  ConvGeometry g = geometry(GetParam());
  Floats x = uniform(g.x_pixels() * g.in, -1, 1), w = uniform(g.taps() * g.out, -1, 1, 2);
  Floats dy = uniform(g.y_pixels() * g.out, -1, 1, 3);
};

TEST_P(Conv2dTest, AllThreePassesInBothModes) {
  const Passes want = reference(g, x, w, dy);
  for (const Accumulate mode : kModes) {
    const Floats old_y = before(mode, dy.size()), old_dx = before(mode, x.size()),
                 old_dw = before(mode, w.size()), old_db = before(mode, static_cast<std::size_t>(g.out));
    const Floats all = everywhere([&](const Way& way) {
      Array<float> image(way, x), weights(way, w), flow(way, dy), y(way, old_y), dx(way, old_dx),
          dw(way, old_dw), db(way, old_db);
      Array<float> s1(way, static_cast<std::size_t>(conv2d_forward_scratch_floats(g)));
      Array<float> s2(way, static_cast<std::size_t>(conv2d_backward_data_scratch_floats(g)));
      Array<float> s3(way, static_cast<std::size_t>(conv2d_backward_weights_scratch_floats(g, true)));
      conv2d_forward(way.gpu, g, image, weights, {.mode = mode}, y, s1);
      conv2d_backward_data(way.gpu, g, flow, weights, {.mode = mode}, dx, s2);
      conv2d_backward_weights(way.gpu, g, mode, image, flow, dw, s3, {db, mode});
      return join({y.read(), dx.read(), dw.read(), db.read()});
    });
    const auto with_old = [&](Doubles sums, const Floats& old_values) {
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += old(mode, old_values, i);
      return sums;
    };
    expect_close(part(all, 0, dy.size()), with_old(want.y, old_y), g.batch == 0 ? 0 : g.taps());
    expect_close(part(all, dy.size(), x.size()), with_old(want.dx, old_dx), g.batch == 0 ? 0 : g.taps());
    expect_close(part(all, dy.size() + x.size(), w.size()), with_old(want.dw, old_dw), g.y_pixels());
    expect_close(part(all, dy.size() + x.size() + w.size(), old_db.size()), with_old(want.db, old_db),
                 g.y_pixels());
  }
}

TEST_P(Conv2dTest, BiasAndReluAreFused) {
  const Passes want = reference(g, x, w, dy);
  const Floats bias = uniform(g.out, -2, 2, 4);
  const Floats y = everywhere([&](const Way& way) {
    Array<float> image(way, x), weights(way, w), offset(way, bias), out(way, dy.size());
    Array<float> scratch(way, static_cast<std::size_t>(conv2d_forward_scratch_floats(g)));
    conv2d_forward(way.gpu, g, image, weights, {.bias = offset, .activation = Activation::relu}, out,
                   scratch);
    return out.read();
  });
  Doubles expected;
  for (std::size_t i = 0; i < want.y.size(); ++i) {
    expected.push_back(std::max(0.0, want.y[i] + bias[i % static_cast<std::size_t>(g.out)]));
  }
  expect_near(y, expected, 1e-5, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Geometries, Conv2dTest, testing::ValuesIn(kCases));

// What forward says of a geometry.
std::string complaint(const ConvGeometry& g) {
  try {
    conv2d_forward({}, g, nullptr, nullptr, {}, nullptr, nullptr);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}
void expect_complaint(const std::string& what, void (*spoil)(ConvGeometry&)) {
  ConvGeometry g = geometry(kCases[10]);  // no image: nothing runs should it pass
  spoil(g);
  EXPECT_NE(complaint(g).find(what), std::string::npos) << what << ": " << complaint(g);
}

TEST(Conv2dErrors, GroupsMustDivide) {
  for (void (*spoil)(ConvGeometry&) :
       {+[](ConvGeometry& g) { g.groups = 0; }, +[](ConvGeometry& g) { g.groups = 2; },
        +[](ConvGeometry& g) { g.groups = 3; }, +[](ConvGeometry& g) { g.in = 0; },
        +[](ConvGeometry& g) { g.out = 0; }}) {
    expect_complaint("groups must divide", spoil);
  }
}

TEST(Conv2dErrors, WindowsMustMove) {
  for (void (*spoil)(ConvGeometry&) :
       {+[](ConvGeometry& g) { g.width.kernel = 0; }, +[](ConvGeometry& g) { g.width.stride = 0; },
        +[](ConvGeometry& g) { g.height.dilation = 0; }, +[](ConvGeometry& g) { g.height.padding = -1; }}) {
    expect_complaint("must be positive", spoil);
  }
}

// Each of them alone at the bound.
TEST(Conv2dErrors, SizesStayBelowTwoToThe31) {
  for (void (*spoil)(ConvGeometry&) :
       {+[](ConvGeometry& g) {
          g.batch = 1 << 30, g.height.in = 2, g.width.in = g.height.out = g.width.out = 1;
        },
        +[](ConvGeometry& g) {
          g.batch = 1 << 30, g.height.out = 2, g.width.out = g.height.in = g.width.in = 1;
        },
        +[](ConvGeometry& g) { g.in = 1 << 29, g.height.kernel = 4, g.width.kernel = 1, g.out = 1; },
        +[](ConvGeometry& g) { g.out = 1 << 29, g.height.kernel = 4, g.width.kernel = 1, g.in = 1; }}) {
    expect_complaint("must be below 2^31", spoil);
  }
  expect_complaint("y is too large", [](ConvGeometry& g) {
    g.batch = 1 << 30, g.in = 1, g.out = 2;
    g.height.in = g.width.in = g.height.out = g.width.out = 1;
  });
}

}  // namespace
}  // namespace gpunn::kernels
