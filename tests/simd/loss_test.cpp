#include <limits>
#include <numeric>

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class LossTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(LossTest);

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Rows {
  Rows(std::int64_t rows_, std::int64_t width_, bool weighted) : rows(rows_), width(width_) {
    x = uniform(rows * width, -6, 6, 1);
    labels = uniform(rows * width, 0, 1, 2);
    for (std::int64_t i = 0; i < rows; ++i) classes.push_back(static_cast<std::int32_t>(i * 7 % width));
    loss.rows = rows, loss.width = width;
    if (weighted) {
      constexpr std::int64_t kRowsPerWeight = 2;
      weights = uniform(rows / kRowsPerWeight + 1, 0.5f, 2, 3);
      loss.weights = weights.data(), loss.rows_per_weight = kRowsPerWeight;
    }
  }
  double weight(std::int64_t i) const {
    return weights.empty() ? 1 : weights[static_cast<std::size_t>(i / 2)];
  }
  double label(bool sparse, std::int64_t i, std::int64_t j) const {
    if (sparse) return classes[static_cast<std::size_t>(i)] == j;
    return labels[static_cast<std::size_t>(i * width + j)];
  }

  std::int64_t rows, width;
  LossRows loss;
  Vec1 x, labels, weights;
  std::vector<std::int32_t> classes;
};

Ref1 softmax_of(const Rows& r) {
  Ref1 y;
  for (std::int64_t i = 0; i < r.rows; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < r.width; ++j)
      sum += std::exp(double{r.x[static_cast<std::size_t>(i * r.width + j)]});
    for (std::int64_t j = 0; j < r.width; ++j) {
      y.push_back(std::exp(double{r.x[static_cast<std::size_t>(i * r.width + j)]}) / sum);
    }
  }
  return y;
}

TEST_P(LossTest, SoftmaxCrossEntropy) {
  const LossKernels& k = kernels().loss;
  for (const std::int64_t width : {1, 2, 7, 10, 16, 17, 40}) {
    for (const bool sparse : {true, false}) {
      for (const bool weighted : {true, false}) {
        const Rows r(9, width, weighted);
        const Ref1 want = softmax_of(r);
        Vec1 p(r.x.size()), fresh(r.x.size(), std::nanf("")), added(r.x.size(), 1);
        const ClassLabels labels{sparse ? r.classes.data() : nullptr, sparse ? nullptr : r.labels.data()};
        const double loss = k.softmax_cross_entropy(r.loss, r.x.data(), labels, p.data());
        k.softmax_cross_entropy_backward(r.loss, p.data(), labels, 0.25f, fresh.data(), false);
        k.softmax_cross_entropy_backward(r.loss, p.data(), labels, 0.25f, added.data(), true);
        EXPECT_TRUE(near(p, want, static_cast<double>(width)));

        double want_loss = 0;
        Ref1 gradient, more;
        for (std::int64_t i = 0; i < r.rows; ++i) {
          double mass = 0;
          for (std::int64_t j = 0; j < width; ++j) {
            mass += r.label(sparse, i, j);
            want_loss -=
                r.weight(i) * r.label(sparse, i, j) * std::log(want[static_cast<std::size_t>(i * width + j)]);
          }
          for (std::int64_t j = 0; j < width; ++j) {
            const double q = want[static_cast<std::size_t>(i * width + j)];
            gradient.push_back(0.25 * r.weight(i) * (q * mass - r.label(sparse, i, j)));
            more.push_back(1 + gradient.back());
          }
        }
        EXPECT_NEAR(loss, want_loss, 1e-5 * (1 + want_loss)) << width << sparse << weighted;
        if (width > 1) {
          EXPECT_TRUE(near(fresh, gradient, 40)) << width << sparse << weighted;
        }
        EXPECT_TRUE(near(added, more, 40)) << width << sparse << weighted;
      }
    }
  }
}

TEST_P(LossTest, SoftmaxAloneAndItsGradient) {
  for (const std::int64_t width : {1, 10, 33}) {
    const Rows r(5, width, false);
    const Ref1 want = softmax_of(r);
    Vec1 y(r.x.size()), dx(r.x.size(), 3);
    kernels().loss.softmax(r.rows, width, r.x.data(), y.data());
    kernels().loss.softmax_backward(r.rows, width, y.data(), r.labels.data(), dx.data(), true);
    EXPECT_TRUE(near(y, want, static_cast<double>(width)));
    Ref1 gradient;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t row = i / static_cast<std::size_t>(width) * static_cast<std::size_t>(width);
      double dot = 0;
      for (std::size_t j = row; j < row + static_cast<std::size_t>(width); ++j) dot += want[j] * r.labels[j];
      gradient.push_back(3 + want[i] * (r.labels[i] - dot));
    }
    EXPECT_TRUE(near(dx, gradient, static_cast<double>(width)));
  }
}

TEST_P(LossTest, ExtremeLogitsStayFiniteAndBadLabelsDoNot) {
  const LossKernels& k = kernels().loss;
  const Vec1 logits = {1e4f, -1e4f, 0, -kInf, 3, 3};
  const std::int32_t right[] = {0, 1}, wrong[] = {3, -1};
  Vec1 p(6), d(6);
  const LossRows r{.rows = 2, .width = 3};
  const double loss = k.softmax_cross_entropy(r, logits.data(), {right}, p.data());
  EXPECT_NEAR(loss, std::log(2.0), 1e-6);
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(p[3], 0);
  const float one_hot[] = {1, 0, 0, 0, 1, 0};
  EXPECT_NEAR(k.softmax_cross_entropy(r, logits.data(), {nullptr, one_hot}, p.data()), std::log(2.0), 1e-6);
  EXPECT_TRUE(std::isnan(k.softmax_cross_entropy(r, logits.data(), {wrong}, p.data())));
  k.softmax_cross_entropy_backward(r, p.data(), {wrong}, 1, d.data(), false);
  for (const float g : d) EXPECT_TRUE(std::isnan(g));

  const Vec1 far = {100, -100, 1e30f, -1e30f}, label = {1, 0, 1, 0};
  Vec1 q(4);
  EXPECT_EQ(k.sigmoid_cross_entropy({.rows = 4, .width = 1}, far.data(), label.data(), q.data()),
            std::exp(-100.0f) * 2);
  EXPECT_EQ(q[2], 1);
  EXPECT_EQ(q[3], 0);
}

TEST_P(LossTest, SigmoidCrossEntropyAndSquaredError) {
  const LossKernels& k = kernels().loss;
  for (const std::int64_t rows : {0, 1, 16, 37}) {
    for (const std::int64_t width : {1, 2, 17}) {
      for (const bool weighted : {true, false}) {
        Rows r(rows, width, weighted);
        Vec1 p(r.x.size()), fresh(r.x.size(), std::nanf("")), added(r.x.size(), 1);
        Vec1 squared(r.x.size(), 20);
        const double bce = k.sigmoid_cross_entropy(r.loss, r.x.data(), r.labels.data(), p.data());
        k.sigmoid_cross_entropy_backward(r.loss, p.data(), r.labels.data(), 0.25f, fresh.data(), false);
        k.sigmoid_cross_entropy_backward(r.loss, p.data(), r.labels.data(), 0.25f, added.data(), true);
        const double mse = k.mean_squared_error(r.loss, r.x.data(), r.labels.data());
        k.mean_squared_error_backward(r.loss, r.x.data(), r.labels.data(), 0.25f, squared.data(), true);
        double want_bce = 0, want_mse = 0;
        Ref1 q, gradient, more, squares;
        for (std::size_t i = 0; i < r.x.size(); ++i) {
          const double x = r.x[i], t = r.labels[i],
                       w = r.weight(static_cast<std::int64_t>(i) / width) / static_cast<double>(width);
          q.push_back(1 / (1 + std::exp(-x)));
          want_bce += w * (t * std::log1p(std::exp(-x)) + (1 - t) * std::log1p(std::exp(x)));
          want_mse += w * (x - t) * (x - t);
          gradient.push_back(0.25 * w * (q.back() - t));
          more.push_back(1 + gradient.back());
          squares.push_back(20 + 0.5 * w * (x - t));
        }
        EXPECT_NEAR(bce, want_bce, 1e-5 * want_bce) << rows << "x" << width;
        EXPECT_NEAR(mse, want_mse, 1e-5 * want_mse) << rows << "x" << width;
        EXPECT_TRUE(near(p, q, 4));
        EXPECT_TRUE(near(fresh, gradient, 16));
        EXPECT_TRUE(near(added, more, 4));
        EXPECT_TRUE(near(squared, squares, 4));
      }
    }
  }
}

TEST_P(LossTest, BinaryHitsAreOnTheirLabelsSide) {
  for (const std::int64_t rows : {0, 1, 16, 37}) {
    for (const std::int64_t width : {1, 2, 3, 17}) {
      for (const std::int64_t rows_per_weight : {0, 1, 2}) {  // 0: none
        Rows r(rows, width, rows_per_weight != 0);
        Vec1 each_weight = uniform(rows + 1, 0.5f, 2, 3);
        if (rows_per_weight == 1) r.loss.weights = each_weight.data(), r.loss.rows_per_weight = 1;
        Vec1 p = uniform(rows * width, 0, 1, 5);
        double want = 0;
        for (std::size_t i = 0; i < p.size(); ++i) {
          if (i % 7 == 3) p[i] = 0.5f;  // is not above
          if (i % 11 == 5) p[i] = std::nanf("");
          r.labels[i] = i % 13 == 4 ? 0.7f : i % 3 == 0 ? 1.0f : 0.0f;  // 0.7 is on neither side
          const std::int64_t row = static_cast<std::int64_t>(i) / width;
          const double weight =
              rows_per_weight == 1 ? each_weight[static_cast<std::size_t>(row)] : r.weight(row);
          const double side = p[i] > 0.5f ? 1 : 0;
          want += side == static_cast<double>(r.labels[i]) ? weight / static_cast<double>(width) : 0;
        }
        const double got = kernels().loss.binary_hits(r.loss, p.data(), r.labels.data());
        if (rows_per_weight == 0 && width == 1) {
          EXPECT_EQ(got, want) << rows;
        } else {
          EXPECT_NEAR(got, want, 1e-6 * want) << rows << "x" << width;
        }
      }
    }
  }
}

TEST_P(LossTest, ArgmaxTakesTheFirstOfEqualOnes) {
  for (const std::int64_t width : {1, 2, 10, 16, 33, 101}) {
    for (std::int64_t at = 0; at < width; ++at) {
      Vec1 x(static_cast<std::size_t>(2 * width), -3);
      x[static_cast<std::size_t>(at)] = 2;
      x[static_cast<std::size_t>(width - 1)] =
          std::max(x[static_cast<std::size_t>(width - 1)], 2.0f);  // a later equal one
      std::int32_t out[2] = {-1, -1};
      kernels().loss.argmax(2, width, x.data(), out);
      ASSERT_EQ(out[0], at) << width;
      ASSERT_EQ(out[1], 0) << width;
    }
  }
  const Vec1 lowest(5, -kInf);
  std::int32_t out = -1;
  kernels().loss.argmax(1, 5, lowest.data(), &out);
  EXPECT_EQ(out, 0);
}

}  // namespace
}  // namespace gpunn::cpu::simd
