// Initial weights: Keras's distributions, and a function of (seed, index of the variable) alone.

#include "src/nn/initializers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

std::vector<float> values(const Initializer& initializer, const Shape& shape, std::uint64_t seed = 1,
                          std::uint32_t index = 0) {
  std::vector<float> all(static_cast<std::size_t>(shape.elements()));
  nn::initialize(initializer, shape, seed, index, all);
  return all;
}

struct Moments {
  double mean = 0, variance = 0, largest = 0;
};

Moments moments(const std::vector<float>& all) {
  Moments m;
  for (const float x : all) m.mean += x, m.largest = std::max(m.largest, std::abs(static_cast<double>(x)));
  m.mean /= static_cast<double>(all.size());
  for (const float x : all) m.variance += (x - m.mean) * (x - m.mean);
  m.variance /= static_cast<double>(all.size());
  return m;
}

TEST(Initializers, MomentsAreKeras) {
  const golden::Family file("initializers");
  const std::pair<const char*, Initializer> kinds[] = {{"GlorotUniform", glorot_uniform},
                                                       {"GlorotNormal", glorot_normal},
                                                       {"HeUniform", he_uniform},
                                                       {"HeNormal", he_normal}};
  const std::pair<const char*, Shape> shapes[] = {{"dense", {1000, 900}}, {"conv2d", {3, 3, 300, 350}}};
  for (const auto& [kind, initializer] : kinds) {
    for (const auto& [name, shape] : shapes) {
      const std::string stem = std::string(kind) + "_" + name;
      const double variance = file[stem + "/variance"].data<double>()[0];
      const double largest = file[stem + "/largest"].data<double>()[0];
      const Moments m = moments(values(initializer, shape));
      EXPECT_NEAR(m.variance / variance, 1, 0.005) << stem;
      EXPECT_NEAR(m.largest / largest, 1, 0.001) << stem;
      EXPECT_LT(std::abs(m.mean), 5 * std::sqrt(variance / static_cast<double>(shape.elements()))) << stem;
    }
  }
}

TEST(Initializers, Fans) {
  EXPECT_EQ(nn::fans({10, 64}).in, 10);
  EXPECT_EQ(nn::fans({10, 64}).out, 64);
  EXPECT_EQ(nn::fans({3, 3, 32, 64}).in, 288);
  EXPECT_EQ(nn::fans({3, 3, 32, 64}).out, 576);
  EXPECT_EQ(nn::fans({7}).in, 7);
}

TEST(Initializers, PlainOnes) {
  EXPECT_EQ(values(zeros, {3}), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(values(ones, {3}), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(values(constant(2.5f), {2}), (std::vector<float>{2.5f, 2.5f}));
  const Moments uniform = moments(values(random_uniform(-1, 3), {100000}));
  EXPECT_NEAR(uniform.mean, 1, 0.02);
  EXPECT_NEAR(uniform.variance, 16.0 / 12, 0.02);
  const Moments normal = moments(values(random_normal(2, 0.5f), {100000}));
  EXPECT_NEAR(normal.mean, 2, 0.01);
  EXPECT_NEAR(normal.variance, 0.25, 0.005);
  EXPECT_TRUE(values(glorot_uniform, {0, 3}).empty());
}

TEST(Initializers, DependOnSeedAndIndexAlone) {
  const Shape shape{37, 5};
  for (const Initializer& initializer : {glorot_uniform, glorot_normal, he_normal}) {
    EXPECT_EQ(values(initializer, shape, 3, 1), values(initializer, shape, 3, 1));
    EXPECT_NE(values(initializer, shape, 3, 1), values(initializer, shape, 4, 1));
    EXPECT_NE(values(initializer, shape, 3, 1), values(initializer, shape, 3, 2));
  }
}

}  // namespace
}  // namespace gpunn
