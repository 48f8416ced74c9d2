#include "kernels/activation.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

// Written apart from the bodies; slopes by central differences in double.
double reference(Activation kind, double x) {
  switch (kind) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return std::isnan(x) ? x : std::max(x, 0.0);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return NAN;
}

constexpr Activation kAll[] = {Activation::linear, Activation::relu, Activation::sigmoid,
                               Activation::tanh,   Activation::gelu, Activation::gelu_tanh};

TEST(ActivationTest, ForwardIsItsDefinition) {
  for (const Activation kind : kAll) {
    // The last: more packs of four than two multiprocessors have threads.
    for (const std::int64_t n : {0, 1, 3, 255, 256, 257, kSmallTests ? 521 : 17'003}) {
      const Floats x = uniform(n, -9, 9);
      const Floats y = everywhere([&](const Way& way) {
        Array<float> in(way, x), out(way, x.size());
        activation_forward(way.gpu, kind, n, in, out);
        return out.read();
      });
      Doubles want;
      for (const float v : x) want.push_back(reference(kind, v));
      expect_near(y, want, 1e-6, 3e-7);
    }
  }
}

TEST(ActivationTest, SpecialValues) {
  const Floats x = {NAN, INFINITY, -INFINITY, -100, 100, -0.0f, 1e-30f};
  for (const Activation kind : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
    const Floats y = everywhere([&](const Way& way) {
      Array<float> in(way, x), out(way, x.size());
      activation_forward(way.gpu, kind, static_cast<std::int64_t>(x.size()), in, out);
      return out.read();
    });
    Doubles want;
    for (const float v : x) want.push_back(reference(kind, v));
    expect_near(y, want, 1e-5, 1e-37);
  }
}

TEST(ActivationTest, BackwardIsTheSlopeOfForward) {
  const std::int64_t n = 259;
  const Floats x = uniform(n, -4, 4), dy = uniform(n, -1, 1, 2);
  for (const Activation kind : kAll) {
    Floats kept = x;
    if (!needs_input_for_backward(kind)) {
      for (float& v : kept) v = static_cast<float>(reference(kind, v));
    }
    for (const Accumulate mode : kModes) {
      const Floats old_dx = before(mode, x.size());
      const Floats dx = everywhere([&](const Way& way) {
        Array<float> a(way, kept), b(way, dy), c(way, old_dx);
        activation_backward(way.gpu, kind, mode, n, a, b, c);
        return c.read();
      });
      Doubles want;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double h = 1e-5;
        const double slope = (reference(kind, x[i] + h) - reference(kind, x[i] - h)) / (2 * h);
        want.push_back(old(mode, old_dx, i) + dy[i] * slope);
      }
      expect_near(dx, want, 1e-5, 1e-6);
    }
  }
}

}  // namespace
}  // namespace gpunn::kernels
