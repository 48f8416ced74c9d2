#include "kernels/lazy_adam.hpp"

#include <map>

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

// Ranges of one row and of many, lists longer than a block, columns beyond its threads.
TEST(LazyAdamTest, RowsOfTheBatchForSeveralSteps) {
  struct Sizes {
    std::int64_t positions, columns, rows;
  };
  for (const auto& [positions, columns, rows] :
       {Sizes{0, 3, 4}, Sizes{1, 1, 1}, Sizes{257, 5, 3}, Sizes{300, 64, 600}, Sizes{700, 33, 1500},
        Sizes{40, 257, 90}, Sizes{90, 2, 600000}}) {
    if (kSmallestTests && rows * columns > 20000) continue;
    const EmbeddingShape shape{positions, columns, rows};
    const auto size = static_cast<std::size_t>(rows * columns), width = static_cast<std::size_t>(columns);
    std::vector<std::int32_t> ids = integers(positions, static_cast<std::int32_t>(rows));
    for (std::size_t i = 0; i < ids.size(); i += 3) ids[i] = static_cast<std::int32_t>(i) % 2;  // often named
    if (positions > 4) ids[2] = -1, ids[3] = static_cast<std::int32_t>(rows);                   // outside
    const Floats w0 = uniform(rows * columns, -1, 1), dy = uniform(positions * columns, -1, 1, 2);
    StepState state;
    state.learning_rate = 0.01f, state.gradient_scale = 0.5f;
    constexpr int kSteps = 2;
    const Floats all = everywhere([&](const Way& way) {
      const Way even{way.gpu, 0};
      Array<StepState> s(even, std::vector<StepState>{state});
      Array<std::int32_t> tokens(way, ids);
      Array<float> w(way, w0), m(way, Floats(size, 0)), v(way, Floats(size, 0)), from(way, dy),
          scratch(way, Floats(dy.size(), NAN));
      for (int step = 0; step < kSteps; ++step) {
        lazy_adam(way.gpu, shape, {}, s, tokens, from, {w, m, v}, scratch);
        finish_step(way.gpu, {}, s);
      }
      return join({w.read(), m.read(), v.read()});
    });
    std::map<std::int32_t, Doubles> gradients;
    for (std::size_t p = 0; p < ids.size(); ++p) {
      if (ids[p] < 0 || ids[p] >= rows) continue;
      Doubles& g = gradients[ids[p]];
      g.resize(width);
      for (std::size_t c = 0; c < width; ++c) g[c] += static_cast<double>(dy[p * width + c]);
    }
    Doubles w(w0.begin(), w0.end()), m(size), v(size);
    for (const auto& [id, g] : gradients) {
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t at = static_cast<std::size_t>(id) * width + c;
        for (int t = 1; t <= kSteps; ++t) {
          m[at] += (0.5 * g[c] - m[at]) * 0.1;
          v[at] += (0.25 * g[c] * g[c] - v[at]) * 0.001;
          const double alpha =
              static_cast<double>(0.01f) * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
          w[at] -= alpha * m[at] / (std::sqrt(v[at]) + 1e-7);
        }
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_NEAR(all[i], w[i], 3e-6) << i;
      ASSERT_NEAR(all[size + i], m[i], 3e-6) << i;
      ASSERT_NEAR(all[2 * size + i], v[i], 3e-6) << i;
      if (!gradients.contains(static_cast<std::int32_t>(i / width))) {
        ASSERT_EQ(all[i], w0[i]) << i;
      }
    }
  }
}

}  // namespace
}  // namespace gpunn::kernels
