#include "src/nn/initializers.hpp"

#include <algorithm>
#include <cmath>

#include "gpunn/random.hpp"

namespace gpunn::nn {
namespace {

// A normal variable cut at two deviations has this deviation; Keras widens by it to keep the variance asked
// for.
constexpr double kTruncatedDeviation = 0.87962566103423978;

// Element `index` of a standard normal tensor without what lies beyond two deviations: draws again, with the
// draw's number in the upper half of the counter.
float truncated_normal(const PhiloxKey& key, std::uint64_t index) {
  for (std::uint64_t draw = 0;; ++draw) {
    const float x = normal01(key, index + (draw << 40));
    if (std::abs(x) <= 2.0f) return x;
  }
}

void fill_uniform(const PhiloxKey& key, double low, double high, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(low + (high - low) * static_cast<double>(uniform01(key, i)));
  }
}

void fill_truncated_normal(const PhiloxKey& key, double deviation, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<float>(deviation / kTruncatedDeviation * static_cast<double>(truncated_normal(key, i)));
  }
}

}  // namespace

Fans fans(const Shape& shape) {
  if (shape.rank() == 0) return {};
  if (shape.rank() == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double field = 1;  // of a convolution kernel
  for (int axis = 0; axis < shape.rank() - 2; ++axis) field *= static_cast<double>(shape[axis]);
  return {field * static_cast<double>(shape[-2]), field * static_cast<double>(shape[-1])};
}

void initialize(const Initializer& initializer, const Shape& shape, std::uint64_t seed, std::uint32_t index,
                std::span<float> values) {
  using Kind = Initializer::Kind;
  // Purposes have streams of their own: weights count from here, dropout layers from 0.
  constexpr std::uint32_t kStream = 0x57000000;
  const PhiloxKey key{.seed = seed, .stream = kStream + index, .step = 0};
  const Fans fan = fans(shape);
  const double a = initializer.a, b = initializer.b;
  switch (initializer.kind) {
    case Kind::zeros:
      return std::fill(values.begin(), values.end(), 0.0f);
    case Kind::ones:
      return std::fill(values.begin(), values.end(), 1.0f);
    case Kind::constant:
      return std::fill(values.begin(), values.end(), initializer.a);
    case Kind::uniform:
      return fill_uniform(key, a, b, values);
    case Kind::normal:
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(a + b * static_cast<double>(normal01(key, i)));
      }
      return;
    case Kind::glorot_uniform: {
      const double limit = std::sqrt(6.0 / (fan.in + fan.out));
      return fill_uniform(key, -limit, limit, values);
    }
    case Kind::he_uniform: {
      const double limit = std::sqrt(6.0 / fan.in);
      return fill_uniform(key, -limit, limit, values);
    }
    case Kind::glorot_normal:
      return fill_truncated_normal(key, std::sqrt(2.0 / (fan.in + fan.out)), values);
    case Kind::he_normal:
      return fill_truncated_normal(key, std::sqrt(2.0 / fan.in), values);
  }
}

}  // namespace gpunn::nn
