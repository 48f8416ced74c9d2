#include "kernels/softmax.hpp"

#include "kernels/element_loss.hpp"
#include "kernels/gemm.hpp"
#include "kernels/softmax_cross_entropy.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

constexpr Matrix kShapes[] = {{1, 1}, {3, 10}, {65, 31}, {130, 33}, {2, 1024}, {5, 1025}, {0, 7}};

Doubles softmax(const Floats& x, std::int64_t rows, std::int64_t columns) {
  Doubles y;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* in = x.data() + r * columns;
    double top = -INFINITY, sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) top = std::max<double>(top, in[c]);
    for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(in[c] - top);
    for (std::int64_t c = 0; c < columns; ++c) y.push_back(std::exp(in[c] - top) / sum);
  }
  return y;
}

TEST(SoftmaxTest, ForwardAndBackward) {
  for (const Matrix& m : kShapes) {
    const std::int64_t n = m.rows * m.columns;
    const Floats x = uniform(n, -30, 30), dy = uniform(n, -1, 1, 2);
    const auto size = static_cast<std::size_t>(n);
    for (const Accumulate mode : kModes) {
      const Floats old_dx = before(mode, size);
      const Floats all = everywhere([&](const Way& way) {
        Array<float> in(way, x), flow(way, dy), y(way, size), dx(way, old_dx);
        softmax_forward(way.gpu, m, in, y);
        softmax_backward(way.gpu, m, mode, y, flow, dx);
        return join({y.read(), dx.read()});
      });
      const Doubles y = softmax(x, m.rows, m.columns);
      Doubles dx(size);
      for (std::int64_t r = 0; r < m.rows; ++r) {
        double dot = 0;
        for (std::int64_t c = r * m.columns; c < (r + 1) * m.columns; ++c) {
          const auto i = static_cast<std::size_t>(c);
          dot += y[i] * dy[i];
        }
        for (std::int64_t c = r * m.columns; c < (r + 1) * m.columns; ++c) {
          const auto i = static_cast<std::size_t>(c);
          dx[i] = old(mode, old_dx, i) + y[i] * (dy[i] - dot);
        }
      }
      expect_near(part(all, 0, size), y, 2e-5, 1e-12);
      expect_near(part(all, size, size), dx, 1e-5, 1e-6);
    }
  }
}

TEST(SoftmaxTest, NaNAndInfinitySpoilTheirRowOnly) {
  Floats x = uniform(40, -1, 1);
  x[3] = NAN, x[13] = INFINITY, x[23] = -INFINITY, x[30] = 3e38f;
  const Floats y = everywhere([&](const Way& way) {
    Array<float> in(way, x);
    softmax_forward(way.gpu, {4, 10}, in, in);  // in place
    return in.read();
  });
  for (std::size_t i = 0; i < 20; ++i) ASSERT_TRUE(std::isnan(y[i])) << i;
  expect_near(part(y, 20, 10), softmax(part(x, 20, 10), 1, 10), 1e-5);
  expect_near(part(y, 30, 10), {1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0);
}

struct Row {
  double loss = 0, hit = 0;
  Doubles gradient;
};
std::size_t first_greatest(const float* x, std::int64_t columns) {
  return static_cast<std::size_t>(std::max_element(x, x + columns) - x);
}
// Loss and gradient of one row, straight from the definition.
Row softmax_row(const float* x, const Doubles& target, std::int64_t columns, bool given_probabilities) {
  Row row;
  Doubles q;
  if (given_probabilities) {
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) sum += x[c];
    for (std::int64_t c = 0; c < columns; ++c) q.push_back(std::min(std::max(x[c] / sum, 1e-7), 1 - 1e-7));
    double through = 0;
    for (std::size_t c = 0; c < q.size(); ++c) through += -target[c];
    for (std::size_t c = 0; c < q.size(); ++c) row.gradient.push_back((-target[c] / q[c] - through) / sum);
  } else {
    q = softmax(Floats(x, x + columns), 1, columns);
    double mass = 0;
    for (const double t : target) mass += t;
    for (std::size_t c = 0; c < q.size(); ++c) row.gradient.push_back(mass * q[c] - target[c]);
  }
  for (std::size_t c = 0; c < q.size(); ++c) row.loss -= target[c] * std::log(q[c]);
  const auto best = static_cast<std::size_t>(std::max_element(target.begin(), target.end()) - target.begin());
  row.hit = first_greatest(x, columns) == best ? 1 : 0;
  return row;
}

class ClassLossTest : public testing::TestWithParam<bool> {};  // whether the input is probabilities

TEST_P(ClassLossTest, LossMetricAndGradientInOnePass) {
  const bool probabilities = GetParam();
  for (const Matrix& m : kShapes) {
    const std::int64_t n = m.rows * m.columns;
    const auto size = static_cast<std::size_t>(n);
    const Floats x = probabilities ? uniform(n, 0.1f, 1) : uniform(n, -8, 8);
    const Floats target = uniform(n, 0, 1, 2), weights = uniform(m.rows, 0, 2, 3);
    const std::vector<std::int32_t> labels = integers(m.rows, static_cast<std::int32_t>(m.columns), 4);
    const Floats upstream = {1.5f};
    for (const bool sparse : {true, false}) {
      for (const bool weighted : {true, false}) {
        const Accumulate mode = sparse == weighted ? Accumulate::add : Accumulate::overwrite;
        const Floats old_dx = before(mode, size);
        const Floats all = everywhere([&](const Way& way) {
          Array<float> in(way, x), t(way, target), w(way, weights), up(way, upstream), dx(way, old_dx),
              apart(way, old_dx);
          Array<float> loss(way, 2), metric(way, 2), alone(way, 2);
          Array<float> scratch(way, static_cast<std::size_t>(loss_scratch_floats(m)));
          Array<std::int32_t> l(way, labels);
          ClassTargets targets;
          if (sparse) {
            targets.labels = l;
            static const std::int32_t none = 0;
            if (targets.labels == nullptr) targets.labels = &none;  // no rows: never read
          } else {
            targets.distribution = t;
            static const float none = 0;
            if (targets.distribution == nullptr) targets.distribution = &none;
          }
          const LossOutputs out{.loss = loss, .metric = metric, .scratch = scratch};
          const LossGradient gradient{.dx = dx, .mode = mode, .scale = 0.25f, .upstream = up};
          LossGradient gradient_alone = gradient;  // without sums, and so without scratch
          gradient_alone.dx = apart;
          const float* by = weighted ? w.data() : nullptr;
          const auto run = probabilities ? cross_entropy : softmax_cross_entropy;
          run(way.gpu, m, in, targets, by, out, gradient);
          run(way.gpu, m, in, targets, by, {}, gradient_alone);
          class_accuracy(way.gpu, m, in, targets, by, {.metric = alone, .scratch = scratch});
          return join({loss.read(), metric.read(), alone.read(), dx.read(), apart.read()});
        });
        double loss = 0, hits = 0, weight_sum = 0;
        Doubles dx;
        for (std::int64_t r = 0; r < m.rows; ++r) {
          Doubles t(static_cast<std::size_t>(m.columns), 0);
          for (std::size_t c = 0; c < t.size(); ++c) {
            t[c] = sparse ? (static_cast<std::int32_t>(c) == labels[static_cast<std::size_t>(r)] ? 1 : 0)
                          : target[static_cast<std::size_t>(r * m.columns) + c];
          }
          const double weight = weighted ? weights[static_cast<std::size_t>(r)] : 1;
          const Row row = softmax_row(x.data() + r * m.columns, t, m.columns, probabilities);
          loss += weight * row.loss, hits += weight * row.hit, weight_sum += weight;
          for (std::size_t c = 0; c < t.size(); ++c) {
            dx.push_back(old(mode, old_dx, dx.size()) + 0.25 * 1.5 * weight * row.gradient[c]);
          }
        }
        const double rows = static_cast<double>(m.rows);
        expect_near(part(all, 0, 6), {loss, rows, hits, weight_sum, hits, weight_sum}, 1e-5, 1e-5);
        expect_near(part(all, 6, size), dx, 2e-4, 1e-5);
        EXPECT_EQ(part(all, 6 + size, size), part(all, 6, size));
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Inputs, ClassLossTest, testing::Bool());

TEST(SoftmaxCrossEntropyTest, BackwardFromTheProbabilitiesIsTheSame) {
  for (const Matrix& m : {Matrix{37, 10}, Matrix{5, 70}, Matrix{2, 1100}}) {
    const std::int64_t n = m.rows * m.columns;
    const auto size = static_cast<std::size_t>(n);
    const Floats x = uniform(n, -5, 5), weights = uniform(m.rows, 0, 1, 5), dense = uniform(n, 0, 1, 6);
    const std::vector<std::int32_t> labels = integers(m.rows, static_cast<std::int32_t>(m.columns));
    for (const bool sparse : {true, false}) {
      const Floats all = everywhere([&](const Way& way) {
        Array<float> in(way, x), w(way, weights), p(way, size), fused(way, size), apart(way, size),
            d(way, dense);
        Array<std::int32_t> l(way, labels);
        const ClassTargets targets = sparse ? ClassTargets{.labels = l} : ClassTargets{.distribution = d};
        softmax_cross_entropy(way.gpu, m, in, targets, w, {.probabilities = p}, {.dx = fused, .scale = 0.1f});
        softmax_cross_entropy_backward(way.gpu, m, p, targets, w, {.dx = apart, .scale = 0.1f});
        return join({fused.read(), apart.read(), p.read()});
      });
      EXPECT_EQ(part(all, 0, size), part(all, size, size));
      expect_near(part(all, 2 * size, size), softmax(x, m.rows, m.columns), 1e-5, 1e-9);
    }
  }
}

// A class of probability 0 that is no target is no loss; and nothing but the loss is written where nothing
// else is asked for.
TEST(SoftmaxCrossEntropyTest, WhatCannotBeAndIsNotMeant) {
  const Floats all = everywhere([&](const Way& way) {
    Array<float> x(way, Floats{0, -INFINITY, 1}), p(way, Floats{0.25f, 0, 0.75f}), loss(way, 2),
        given(way, 2);
    Array<float> t(way, Floats{0.5f, 0, 0.5f});
    softmax_cross_entropy(way.gpu, {1, 3}, x, {.distribution = t}, nullptr, {.loss = loss}, {});
    cross_entropy(way.gpu, {1, 3}, p, {.distribution = t}, nullptr, {.loss = given}, {});
    return join({loss.read(), given.read()});
  });
  expect_near(all, {std::log(1 + std::exp(1)) - 0.5, 1, -0.5 * std::log(0.25) - 0.5 * std::log(0.75), 1},
              1e-6);
}

// Keras's bounds, 1e-7 from 0 and 1; behind them nothing flows back.
TEST(SoftmaxCrossEntropyTest, ProbabilitiesAreClippedOnBothSides) {
  const Floats all = everywhere([&](const Way& way) {
    Array<float> p(way, Floats{1, 0, 0, 1}), loss(way, 2), dx(way, 4);
    Array<std::int32_t> labels(way, std::vector<std::int32_t>{0, 0});
    cross_entropy(way.gpu, {2, 2}, p, {.labels = labels}, nullptr, {.loss = loss}, {.dx = dx});
    Array<float> sure(way, 2);
    cross_entropy(way.gpu, {1, 2}, p, {.labels = labels}, nullptr, {.loss = sure}, {});
    return join({loss.read(), dx.read(), sure.read()});
  });
  expect_near(part(all, 0, 2), {-std::log(1e-7), 2}, 1e-5);
  expect_near(part(all, 2, 4), {0, 0, 0, 0}, 0);
  EXPECT_GT(all[6], 0) << "the loss of a sure and right answer";
}

// Nor into the sum that all are divided by.
TEST(SoftmaxCrossEntropyTest, AClippedProbabilityBesideOthersSendsNothingBack) {
  const Floats dx = everywhere([&](const Way& way) {
    Array<float> p(way, Floats{0, 0.25f, 0.75f}), loss(way, 2), result(way, 3);
    Array<std::int32_t> labels(way, std::vector<std::int32_t>{1});
    cross_entropy(way.gpu, {1, 3}, p, {.labels = labels}, nullptr, {.loss = loss}, {.dx = result});
    return result.read();
  });
  expect_near(dx, {1, -3, 1}, 1e-6);
}

TEST(SoftmaxCrossEntropyTest, ALabelOutOfRangeIsNaNAndNothingElse) {
  const Floats x = uniform(30, -1, 1);
  const Floats all = everywhere([&](const Way& way) {
    Array<float> in(way, x), loss(way, 2), metric(way, 2), dx(way, 30);
    Array<std::int32_t> labels(way, std::vector<std::int32_t>{2, 10, -1});
    softmax_cross_entropy(way.gpu, {3, 10}, in, {.labels = labels}, nullptr, {.loss = loss, .metric = metric},
                          {.dx = dx});
    return join({loss.read(), metric.read(), dx.read()});
  });
  EXPECT_TRUE(std::isnan(all[0]));
  EXPECT_EQ(all[1], 3);
  EXPECT_FALSE(std::isnan(all[2]));
  for (std::size_t i = 0; i < 30; ++i) ASSERT_EQ(std::isnan(all[4 + i]), i >= 10) << i;
}

// More chunks than a block has threads to add them up.
TEST(SoftmaxCrossEntropyTest, ManyRows) {
  const Matrix m{kSmallTests ? 200 : 16'500, 2};
  const Floats x = uniform(m.rows * m.columns, -1, 1);
  const std::vector<std::int32_t> labels = integers(m.rows, 2);
  const Floats sums = everywhere([&](const Way& way) {
    Array<float> in(way, x), loss(way, 2), metric(way, 2), only_metric(way, 2),
        scratch(way, static_cast<std::size_t>(loss_scratch_floats(m)));
    Array<std::int32_t> l(way, labels);
    softmax_cross_entropy(way.gpu, m, in, {.labels = l}, nullptr,
                          {.loss = loss, .metric = metric, .scratch = scratch}, {});
    class_accuracy(way.gpu, m, in, {.labels = l}, nullptr, {.metric = only_metric, .scratch = scratch});
    return join({loss.read(), metric.read(), only_metric.read()});
  });
  double loss = 0, hits = 0;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    const double right = x[2 * r + static_cast<std::size_t>(labels[r])],
                 wrong = x[2 * r + 1 - static_cast<std::size_t>(labels[r])];
    loss += std::log1p(std::exp(wrong - right));
    hits += right > wrong ? 1 : 0;
  }
  const auto rows = static_cast<double>(m.rows);
  expect_near(part(sums, 0, 2), {loss, rows}, 1e-6);
  expect_near(part(sums, 2, 4), {hits, rows, hits, rows}, 0);
}

TEST(SoftmaxCrossEntropyTest, ColumnsAreCountedInFloats) {
  const std::int32_t label = 0;
  for (const std::int64_t columns : {std::int64_t{0}, std::int64_t{1} << 24}) {
    EXPECT_THROW(class_accuracy({}, {0, columns}, nullptr, {.labels = &label}, nullptr, {}), UsageError);
  }
}

double element_value(ElementLoss kind, double x, double t) {
  if (kind == ElementLoss::squared_error) return (x - t) * (x - t);
  const double p = kind == ElementLoss::sigmoid_cross_entropy ? 1 / (1 + std::exp(-x)) : x;
  return -(t * std::log(p) + (1 - t) * std::log(1 - p));
}

// The product that makes x in the launch of the loss: the bits of gemm() before it.
TEST(ElementLossTest, AProductBeforeItIsTheOneOfGemm) {
  for (const ElementLoss kind : {ElementLoss::sigmoid_cross_entropy, ElementLoss::squared_error}) {
    for (const Matrix& m : {Matrix{1, 1}, Matrix{33, 1}, Matrix{40, 7}, Matrix{2100, 2}, Matrix{0, 3}}) {
      for (const std::int64_t width : {1, 37}) {
        const auto size = static_cast<std::size_t>(m.rows * m.columns);
        const Floats features = uniform(m.rows * width, -1, 1), w = uniform(width * m.columns, -1, 1, 2),
                     bias = uniform(m.columns, -1, 1, 3), t = uniform(m.rows * m.columns, 0, 1, 4);
        const auto run = [&](const Way& way, bool inside) {
          Array<float> from(way, features), by(way, w), b(way, bias), target(way, t), x(way, size),
              loss(way, 2), metric(way, 2), dx(way, size);
          Array<float> scratch(way, static_cast<std::size_t>(loss_scratch_floats(m)));
          const float* added = width > 1 ? b.data() : nullptr;
          const LossProduct product{width, from, by, added};
          if (!inside)
            gemm(way.gpu, {Layout::nn, m.rows, m.columns, width}, from, by, {.bias = added}, x, nullptr);
          element_loss(way.gpu, kind, m, inside ? nullptr : x.data(), target, nullptr,
                       {.loss = loss, .metric = metric, .scratch = scratch}, {.dx = dx, .scale = 0.5f},
                       inside ? &product : nullptr);
          return join({loss.read(), metric.read(), dx.read()});
        };
        const Floats inside = everywhere([&](const Way& way) { return run(way, true); });
        EXPECT_EQ(inside, run({Gpu{nullptr, 7}, 0}, false)) << m.rows << " " << m.columns << " " << width;
      }
    }
  }
}

TEST(ElementLossTest, LossMetricAndGradientInOnePass) {
  for (const ElementLoss kind :
       {ElementLoss::sigmoid_cross_entropy, ElementLoss::binary_cross_entropy, ElementLoss::squared_error}) {
    for (const Matrix& m : {Matrix{1, 1}, Matrix{33, 1}, Matrix{7, 13}, Matrix{300, 17}, Matrix{3000, 1},
                            Matrix{2, 4099}, Matrix{0, 3}}) {
      const std::int64_t n = m.rows * m.columns;
      const auto size = static_cast<std::size_t>(n);
      const bool unit = kind == ElementLoss::binary_cross_entropy;
      const Floats x = uniform(n, unit ? 0.05f : -6, unit ? 0.95f : 6), weights = uniform(m.rows, 0, 2, 3);
      const Floats t = uniform(n, 0, 1, 2);
      for (const Accumulate mode : kModes) {
        const bool weighted = mode == Accumulate::add;
        const Floats old_dx = before(mode, size);
        const Floats all = everywhere([&](const Way& way) {
          Array<float> in(way, x), target(way, t), w(way, weights), loss(way, 2), metric(way, 2),
              p(way, size);
          Array<float> dx(way, old_dx), apart(way, old_dx);
          Array<float> scratch(way, static_cast<std::size_t>(loss_scratch_floats(m)));
          const float* by = weighted ? w.data() : nullptr;
          const bool sigmoid = kind == ElementLoss::sigmoid_cross_entropy;
          element_loss(way.gpu, kind, m, in, target, by,
                       {.loss = loss,
                        .metric = metric,
                        .probabilities = sigmoid ? p.data() : nullptr,
                        .scratch = scratch},
                       {.dx = dx, .mode = mode, .scale = 0.5f});
          element_loss_backward(way.gpu, kind, m, sigmoid ? p : in, target, by,
                                {.dx = apart, .mode = mode, .scale = 0.5f});
          return join({loss.read(), metric.read(), dx.read(), apart.read()});
        });
        double loss = 0, metric = 0, weight_sum = 0;
        Doubles dx;
        for (std::size_t i = 0; i < size; ++i) {
          const auto row = i / static_cast<std::size_t>(m.columns);
          const double weight = weighted ? weights[row] : 1, share = weight / static_cast<double>(m.columns);
          const double h = 1e-6;
          const double slope =
              (element_value(kind, x[i] + h, t[i]) - element_value(kind, x[i] - h, t[i])) / (2 * h);
          loss += share * element_value(kind, x[i], t[i]);
          const double middle = unit ? 0.5 : 0.0;
          metric +=
              share * (kind == ElementLoss::squared_error ? std::abs(x[i] - t[i])
                                                          : ((x[i] > middle) == (t[i] > 0.5) ? 1.0 : 0.0));
          if (i % static_cast<std::size_t>(m.columns) == 0) weight_sum += weight;
          dx.push_back(old(mode, old_dx, i) + 0.5 * share * slope);
        }
        expect_near(part(all, 0, 4), {loss, static_cast<double>(m.rows), metric, weight_sum}, 2e-5, 1e-6);
        expect_near(part(all, 4, size), dx, 1e-4, 1e-6);
        expect_near(part(all, 4 + size, size), dx, 1e-4, 1e-6);
      }
    }
  }
}

TEST(ElementLossTest, LargeLogitsDoNotOverflow) {
  const Floats all = everywhere([&](const Way& way) {
    Array<float> x(way, Floats{1000, -1000, 1000, -1000}), t(way, Floats{1, 0, 0, 1}), loss(way, 2),
        dx(way, 4);
    element_loss(way.gpu, ElementLoss::sigmoid_cross_entropy, {4, 1}, x, t, nullptr, {.loss = loss},
                 {.dx = dx});
    return join({loss.read(), dx.read()});
  });
  expect_near(all, {2000, 4, 0, 0, 1, -1}, 0);
}

// As evaluation calls it.
TEST(ElementLossTest, WithoutAGradientOnlyTheLossIsWritten) {
  const Floats all = everywhere([&](const Way& way) {
    Array<float> x(way, Floats{1, 2, 3}), t(way, Floats{0, 0, 0}), loss(way, 2);
    element_loss(way.gpu, ElementLoss::squared_error, {3, 1}, x, t, nullptr, {.loss = loss}, {});
    return loss.read();
  });
  expect_near(all, {14, 3}, 0);
}

TEST(ElementLossTest, ARowNeedsAColumn) {
  EXPECT_THROW(element_loss({}, ElementLoss::squared_error, {1, 0}, nullptr, nullptr, nullptr, {}, {}),
               UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
