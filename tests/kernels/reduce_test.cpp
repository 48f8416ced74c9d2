#include "kernels/reduce.hpp"

#include "kernels/batch_norm.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

using Extents = std::vector<std::int64_t>;

// Sums over the axes of `mask`, one element after the other.
Doubles reference(const Extents& extents, unsigned mask, const Floats& x) {
  std::size_t kept = 1;
  for (std::size_t k = 0; k < extents.size(); ++k) {
    if ((mask >> k & 1u) == 0) kept *= static_cast<std::size_t>(extents[k]);
  }
  Doubles y(kept, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t rest = i, out = 0, stride = 1;
    for (std::size_t k = extents.size(); k-- > 0;) {
      const std::size_t extent = static_cast<std::size_t>(extents[k]), index = rest % extent;
      rest /= extent;
      if ((mask >> k & 1u) == 0) out += index * stride, stride *= extent;
    }
    y[out] += x[i];
  }
  return y;
}

struct Case {
  Extents extents;
  unsigned mask;
};
// The last two are more sums than one multiprocessor makes at once, of a warp and of a block.
const Case kCases[] = {
    {{1}, 1},           {{0}, 1},           {{7}, 1},
    {{4097}, 1},        {{10'007}, 1},      {{33, 31}, 0b01},
    {{129, 10}, 0b01},  {{2000, 33}, 0b01}, {{5, 300}, 0b10},
    {{3, 5001}, 0b10},  {{0, 5}, 0b01},     {{5, 0}, 0b01},
    {{4, 5, 6}, 0b010}, {{4, 5, 6}, 0b101}, {{2, 3, 4, 5, 2}, 0b10101},
    {{6, 1, 8}, 0b011}, {{1, 1}, 0b11},     {{2, 2, 2, 2, 2, 2, 2, 2}, 0b01010101},
    {{8, 4}, 0},        {{300, 5}, 0b10},   {{40, 1500}, 0b10},
};

TEST(ReduceTest, SumsOverAnyAxes) {
  for (const Case& c : kCases) {
    const ReduceShape shape = reduce_shape(c.extents, c.mask);
    std::int64_t n = 1;
    for (const std::int64_t e : c.extents) n *= e;
    const Floats x = uniform(n, -1, 1);
    const Doubles sums = reference(c.extents, c.mask, x);
    ASSERT_EQ(static_cast<std::size_t>(shape.kept.count), sums.size());
    for (const Accumulate mode : kModes) {
      const Floats old_y = before(mode, sums.size());
      const Floats result = everywhere([&](const Way& way) {
        Array<float> in(way, x), y(way, old_y);
        Array<float> scratch(way, static_cast<std::size_t>(reduce_scratch_floats(shape)));
        reduce_sum(way.gpu, shape, mode, 0.5f, in, y, scratch);
        return y.read();
      });
      Doubles want;
      for (std::size_t i = 0; i < sums.size(); ++i) want.push_back(old(mode, old_y, i) + 0.5 * sums[i]);
      expect_near(result, want, 1e-5, 2e-5);
    }
  }
}

TEST(ReduceTest, NaNWins) {
  Floats x = uniform(6000, -1, 1);
  x[4500] = NAN;
  const std::int64_t extents[] = {6000};
  const ReduceShape shape = reduce_shape(extents, 1);
  const Floats result = everywhere([&](const Way& way) {
    Array<float> in(way, x), y(way, 1);
    Array<float> scratch(way, static_cast<std::size_t>(reduce_scratch_floats(shape)));
    reduce_sum(way.gpu, shape, Accumulate::overwrite, 1, in, y, scratch);
    return y.read();
  });
  EXPECT_TRUE(std::isnan(result[0]));
}

TEST(ReduceShapeTest, AxesAreJoined) {
  const std::int64_t extents[] = {32, 1, 26, 26, 8};
  const ReduceShape shape = reduce_shape(extents, 0b01111);
  EXPECT_EQ(shape.reduced.rank, 1);
  EXPECT_EQ(shape.reduced.count, 32 * 26 * 26);
  EXPECT_EQ(shape.kept.rank, 1);
  EXPECT_FALSE(shape.inner_reduced);
}

TEST(BatchNormTest, TrainingForwardBackwardAndUpdate) {
  for (const Matrix& m : {Matrix{5, 3}, Matrix{200, 33}, Matrix{1, 4}}) {
    const auto n = static_cast<std::size_t>(m.rows * m.columns),
               channels = static_cast<std::size_t>(m.columns);
    const Floats x = uniform(m.rows * m.columns, 99, 103), dy = uniform(m.rows * m.columns, -1, 1, 2);
    const Floats gamma = uniform(m.columns, 0.5f, 2, 3), beta = uniform(m.columns, -1, 1, 4);
    const auto rows = static_cast<double>(m.rows);
    constexpr double kEpsilon = 1e-3f;
    for (const Accumulate mode : kModes) {
      const Floats old_dx = before(mode, n);
      const Floats all = everywhere([&](const Way& way) {
        Array<float> in(way, x), flow(way, dy), g(way, gamma), b(way, beta), mean(way, channels),
            variance(way, channels);
        Array<float> y(way, n), dgamma(way, channels), dbeta(way, channels), dx(way, old_dx),
            constant(way, old_dx);
        Array<float> moving_mean(way, gamma), moving_variance(way, beta);
        Array<float> scratch(way,
                             static_cast<std::size_t>(reduce_scratch_floats(over_rows(m.rows, m.columns))));
        batch_norm_mean(way.gpu, m, {}, in, mean, scratch);
        batch_norm_variance(way.gpu, m, {}, in, mean, variance, scratch);
        const BatchNormStatistics s{mean, variance, 1e-3f};
        batch_norm_forward(way.gpu, m, s, g, b, in, y);
        batch_norm_backward_sums(way.gpu, m, s, in, flow, dgamma, dbeta, scratch);
        batch_norm_backward(way.gpu, m, {}, mode, s, g, in, flow, dgamma, dbeta, dx);
        batch_norm_backward(way.gpu, m, {}, mode, s, g, in, flow, nullptr, nullptr, constant);
        batch_norm_update(way.gpu, m.columns, 0.9f, mean, variance, moving_mean, moving_variance);
        return join({y.read(), dx.read(), constant.read(), dgamma.read(), dbeta.read(), moving_mean.read(),
                     moving_variance.read()});
      });
      Doubles y(n), dx(n), constant(n), dgamma(channels), dbeta(channels), moving_mean, moving_variance;
      for (std::size_t c = 0; c < channels; ++c) {
        double mean = 0, variance = 0;
        for (std::size_t i = c; i < n; i += channels) mean += x[i] / rows;
        for (std::size_t i = c; i < n; i += channels) variance += (x[i] - mean) * (x[i] - mean) / rows;
        const double deviation = std::sqrt(variance + kEpsilon);
        for (std::size_t i = c; i < n; i += channels) {
          dgamma[c] += dy[i] * (x[i] - mean) / deviation, dbeta[c] += dy[i];
        }
        for (std::size_t i = c; i < n; i += channels) {
          const double z = (x[i] - mean) / deviation;
          y[i] = z * gamma[c] + beta[c];
          constant[i] = old(mode, old_dx, i) + dy[i] * gamma[c] / deviation;
          dx[i] =
              old(mode, old_dx, i) + gamma[c] / deviation * (dy[i] - dbeta[c] / rows - z * dgamma[c] / rows);
        }
        moving_mean.push_back(gamma[c] * 0.9f + mean * (1 - 0.9f));
        moving_variance.push_back(beta[c] * 0.9f + variance * (1 - 0.9f));
      }
      std::size_t at = 0;
      for (const Doubles* want : {&y, &dx, &constant, &dgamma, &dbeta, &moving_mean, &moving_variance}) {
        expect_near(part(all, at, want->size()), *want, 1e-4, 3e-4);
        at += want->size();
      }
    }
  }
}

// No gamma is one of ones, no beta one of zeros.
TEST(BatchNormTest, WithoutScaleAndCenter) {
  const Matrix m{7, 5};
  const Floats x = uniform(m.rows * m.columns, -1, 1), dy = uniform(m.rows * m.columns, -1, 1, 2);
  const auto run = [&](const Way& way, bool with) {
    const auto channels = static_cast<std::size_t>(m.columns);
    Array<float> in(way, x), flow(way, dy), ones(way, Floats(channels, 1.0f)),
        zeros(way, Floats(channels, 0.0f)), mean(way, uniform(m.columns, -1, 1, 3)),
        variance(way, uniform(m.columns, 0.5f, 2, 4));
    Array<float> y(way, x.size()), dx(way, x.size());
    const BatchNormStatistics s{mean, variance, 1e-3f};
    batch_norm_forward(way.gpu, m, s, with ? ones.data() : nullptr, with ? zeros.data() : nullptr, in, y);
    batch_norm_backward(way.gpu, m, {}, Accumulate::overwrite, s, with ? ones.data() : nullptr, in, flow,
                        nullptr, nullptr, dx);
    return join({y.read(), dx.read()});
  };
  EXPECT_EQ(everywhere([&](const Way& way) { return run(way, false); }),
            everywhere([&](const Way& way) { return run(way, true); }));
}

// Rows that a mask hides are not in the statistics; they are normalized, and their dx is that of constants.
TEST(BatchNormTest, LeavesMaskedRowsOut) {
  struct Sizes {
    Matrix m;
    std::int64_t rows_per_step, real_every;  // 0: none
  };
  for (const Sizes& z :
       {Sizes{{6, 3}, 1, 2}, Sizes{{6, 3}, 2, 2}, Sizes{{1200, 33}, 3, 3}, Sizes{{5, 4}, 1, 0}}) {
    // Not bound by name: clang++ cannot capture those.
    const Matrix m = z.m;
    const std::int64_t rows_per_step = z.rows_per_step, real_every = z.real_every;
    const auto n = static_cast<std::size_t>(m.rows * m.columns),
               channels = static_cast<std::size_t>(m.columns);
    std::vector<std::uint8_t> mask(static_cast<std::size_t>(m.rows / rows_per_step));
    for (std::size_t s = 0; s < mask.size(); ++s)
      mask[s] = real_every > 0 && s % static_cast<std::size_t>(real_every) == 1 ? 1 : 0;
    const auto is_real = [&](std::size_t i) {
      return mask[i / channels / static_cast<std::size_t>(rows_per_step)] != 0;
    };
    const auto real_steps = static_cast<float>(std::count(mask.begin(), mask.end(), 1));
    const double rows = double{real_steps} * static_cast<double>(rows_per_step) + kMaskedCountFloor;
    const Floats x = uniform(m.rows * m.columns, 9, 13), dy = uniform(m.rows * m.columns, -1, 1, 2);
    const Floats gamma = uniform(m.columns, 0.5f, 2, 3);
    Floats with_nan = x;  // where it is hidden
    for (std::size_t i = 0; i < n; ++i) with_nan[i] = is_real(i) ? x[i] : NAN;
    constexpr double kEpsilon = 1e-3f;
    for (const Accumulate mode : kModes) {
      const Floats old_dx = before(mode, n);
      const Floats all = everywhere([&](const Way& way) {
        Array<float> in(way, x), hidden(way, with_nan), flow(way, dy), g(way, gamma), mean(way, channels),
            variance(way, channels), dgamma(way, channels), dbeta(way, channels), dx(way, old_dx),
            count(way, Floats{real_steps});
        Array<std::uint8_t> steps(way, mask);
        Array<float> scratch(way,
                             static_cast<std::size_t>(reduce_scratch_floats(over_rows(m.rows, m.columns))));
        const RealRows real{steps, count, rows_per_step};
        batch_norm_mean(way.gpu, m, real, hidden, mean, scratch);
        batch_norm_variance(way.gpu, m, real, hidden, mean, variance, scratch);
        const BatchNormStatistics s{mean, variance, 1e-3f};
        batch_norm_backward_sums(way.gpu, m, s, in, flow, dgamma, dbeta, scratch);
        batch_norm_backward(way.gpu, m, real, mode, s, g, in, flow, dgamma, dbeta, dx);
        return join({mean.read(), variance.read(), dx.read()});
      });
      Doubles means(channels), variances(channels), dx(n);
      for (std::size_t c = 0; c < channels; ++c) {
        double &mean = means[c], &variance = variances[c], dgamma = 0, dbeta = 0;
        for (std::size_t i = c; i < n; i += channels) mean += is_real(i) ? x[i] / rows : 0;
        for (std::size_t i = c; i < n; i += channels)
          variance += is_real(i) ? (x[i] - mean) * (x[i] - mean) / rows : 0;
        const double deviation = std::sqrt(variance + kEpsilon);
        for (std::size_t i = c; i < n; i += channels)
          dgamma += dy[i] * (x[i] - mean) / deviation, dbeta += dy[i];
        for (std::size_t i = c; i < n; i += channels) {
          const double shared = is_real(i) ? (dbeta + (x[i] - mean) / deviation * dgamma) / rows : 0;
          dx[i] = old(mode, old_dx, i) + gamma[c] / deviation * (dy[i] - shared);
        }
      }
      std::size_t at = 0;
      for (const Doubles* want : {&means, &variances, &dx}) {
        expect_near(part(all, at, want->size()), *want, 1e-4, 3e-4);
        at += want->size();
      }
    }
  }
}

}  // namespace
}  // namespace gpunn::kernels
