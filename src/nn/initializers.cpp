#include "src/nn/initializers.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

// The Q of a random normal matrix [more, fewer], whose R has a positive diagonal: what Gram and Schmidt make.
// Twice over, for columns that are orthogonal to double's precision. `values` is [rows, columns].
void fill_orthogonal(const PhiloxKey& key, double gain, std::int64_t rows, std::int64_t columns,
                     std::span<float> values) {
  const std::int64_t length = std::max(rows, columns), count = std::min(rows, columns);
  std::vector<std::vector<double>> vectors;
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<double> v(static_cast<std::size_t>(length));
    for (std::int64_t k = 0; k < length; ++k) {
      v[static_cast<std::size_t>(k)] =
          static_cast<double>(normal01(key, static_cast<std::uint64_t>(k * count + i)));
    }
    for (int pass = 0; pass < 2; ++pass) {
      for (const auto& other : vectors) {
        const double share = std::inner_product(v.begin(), v.end(), other.begin(), 0.0);
        for (std::size_t k = 0; k < v.size(); ++k) v[k] -= share * other[k];
      }
    }
    const double norm = std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
    for (double& x : v) x /= norm;
    vectors.push_back(std::move(v));
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto i = static_cast<std::size_t>(rows < columns ? r : c);
      const auto k = static_cast<std::size_t>(rows < columns ? c : r);
      values[static_cast<std::size_t>(r * columns + c)] = static_cast<float>(gain * vectors[i][k]);
    }
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
    case Kind::orthogonal: {
      const std::int64_t columns = shape.rank() == 0 ? 1 : shape[-1];
      const std::int64_t rows = columns == 0 ? 0 : shape.elements() / columns;
      return fill_orthogonal(key, a, rows, columns, values);
    }
    case Kind::he_normal:
      return fill_truncated_normal(key, std::sqrt(2.0 / fan.in), values);
  }
}

}  // namespace gpunn::nn
