#include <cstring>
#include <functional>
#include <limits>

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class ActivationTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(ActivationTest);

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Every 4,001st float of [low, high], both signs of its bit pattern where they apply: all exponents, many
// mantissas.
Vec1 floats_between(float low, float high) {
  Vec1 v;
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 4001) {
    const auto word = static_cast<std::uint32_t>(bits);
    float x;
    std::memcpy(&x, &word, 4);
    if (x >= low && x <= high) v.push_back(x);
  }
  return v;
}

// |got - want| in units of the last place of want in float (the smallest normal's, below it).
double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e30;
  const auto rounded = static_cast<float>(want);
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0 : 1e30;
  const double magnitude = std::max(std::fabs(want), 0x1p-126);
  return std::fabs(got - want) / std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

using Array = std::function<void(std::int64_t, const float*, float*)>;

void expect_close(const char* name, const Array& f, double (*exact)(double), Vec1 x, double max_ulps) {
  for (const float special : {0.0f, -0.0f, kInf, kNan, 1.0f, 1e-40f}) x.push_back(special);
  Vec1 y(x.size());
  f(static_cast<std::int64_t>(x.size()), x.data(), y.data());
  double worst = 0;
  float at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], exact(double{x[i]}));
    if (error > worst) worst = error, at = x[i];
  }
  EXPECT_LE(worst, max_ulps) << name << " at " << at;
  ::testing::Test::RecordProperty(name, std::to_string(worst));
}

double sigmoid_exact(double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
double gelu_exact(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

TEST_P(ActivationTest, FunctionsKeepTheirStatedErrors) {
  const ActivationKernels& k = kernels().activation;
  const auto act = [&](Activation a) {
    return [&k, a](std::int64_t n, const float* x, float* y) { k.forward(a, n, x, y); };
  };
  Vec1 any = floats_between(-200, 200);
  any.push_back(-kInf);
  expect_close(
      "exp", k.exp, [](double x) { return std::exp(x); }, any, 1.1);
  expect_close(
      "tanh", act(Activation::tanh), [](double x) { return std::tanh(x); }, any, 3);
  expect_close("sigmoid", act(Activation::sigmoid), sigmoid_exact, any, 2.5);
  expect_close(
      "erf", k.erf, [](double x) { return std::erf(x); }, any, 3);
  Vec1 with_negative = floats_between(0, kInf);
  with_negative.push_back(-1);
  with_negative.push_back(-kInf);
  expect_close(
      "log", k.log, [](double x) { return std::log(x); }, with_negative, 1.1);
  expect_close(
      "log1p", k.log1p, [](double x) { return std::log1p(x); }, floats_between(0, 1e30f), 2);
}

TEST_P(ActivationTest, GeluIsExactToItsArgumentsScale) {
  const Vec1 x = floats_between(-6, 30);
  Vec1 y(x.size());
  kernels().activation.forward(Activation::gelu, static_cast<std::int64_t>(x.size()), x.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(y[i], gelu_exact(x[i]), 3e-7 * std::fabs(x[i]) + 0x1p-149)
        << x[i];  // 1 + erf cancels below zero
  }
}

TEST_P(ActivationTest, ReluKeepsNanAndDropsNegatives) {
  const Vec1 x = {-1, kNan, 2, -kInf, kInf, -0.0f, 0.0f, 3, kNan, -5, 7, kNan, 1, -1, kNan, 2, kNan};
  Vec1 y(x.size());
  kernels().activation.forward(Activation::relu, static_cast<std::int64_t>(x.size()), x.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      EXPECT_TRUE(std::isnan(y[i]));
    } else {
      EXPECT_EQ(y[i], std::max(x[i], 0.0f));
    }
  }
}

double exact_value(Activation a, double x) {
  switch (a) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::sigmoid:
      return sigmoid_exact(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu:
      return gelu_exact(x);
  }
  return 0;
}

// Against central differences of the double-precision function, overwriting NaN and adding to what is there.
TEST_P(ActivationTest, BackwardIsTheSlope) {
  const ActivationKernels& k = kernels().activation;
  for (const Activation a :
       {Activation::linear, Activation::relu, Activation::sigmoid, Activation::tanh, Activation::gelu}) {
    for (const std::int64_t n : kEdgeSizes) {
      const Vec1 x = uniform(n, -4, 4, 1), dy = uniform(n, -1, 1, 2);
      Vec1 kept = x, fresh(x.size(), kNan), added(x.size(), 0.5f);
      if (slope_from_output(a)) k.forward(a, n, x.data(), kept.data());
      k.backward(a, n, kept.data(), dy.data(), fresh.data(), false);
      k.backward(a, n, kept.data(), dy.data(), added.data(), true);
      for (std::size_t i = 0; i < x.size(); ++i) {
        constexpr double h = 1e-5, kRounding = 6e-7;  // of y (|y| <= 1) enters the slope twice
        const double want = dy[i] * (exact_value(a, x[i] + h) - exact_value(a, x[i] - h)) / (2 * h);
        EXPECT_NEAR(fresh[i], want, kRounding) << static_cast<int>(a) << " n " << n << " x " << x[i];
        EXPECT_NEAR(added[i], 0.5 + want, kRounding) << static_cast<int>(a) << " n " << n << " x " << x[i];
      }
    }
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
