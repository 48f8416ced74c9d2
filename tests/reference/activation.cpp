#include "src/ops/activation.hpp"

#include <cmath>
#include <numbers>

#include "tests/reference/activate.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

using ops::Activation;

template <class T>
T value(Activation kind, T x) {
  switch (kind) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return x > 0 || std::isnan(x) ? x : T(0);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu:
      return x / 2 * std::erfc(-x / std::numbers::sqrt2_v<T>);
  }
  return NAN;
}

// gelu's of x, the others' of y.
template <class T>
T slope(Activation kind, T v) {
  switch (kind) {
    case Activation::linear:
      return 1;
    case Activation::relu:
      return v > 0 ? 1 : 0;
    case Activation::sigmoid:
      return v * (1 - v);
    case Activation::tanh:
      return 1 - v * v;
    case Activation::gelu: {
      const T density = std::exp(-v * v / 2) / std::sqrt(2 * std::numbers::pi_v<T>);
      return std::erfc(-v / std::numbers::sqrt2_v<T>) / 2 + v * density;
    }
  }
  return NAN;
}

template <class T>
void forward(const Run<T>& run) {
  const Activation kind = run.template attrs<ops::ActivationAttrs>().kind;
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i)
    run.outputs[0][i] = value(kind, run.inputs[0][i]);
}

template <class T>
void backward(const Run<T>& run) {
  const Activation kind = run.template attrs<ops::ActivationAttrs>().kind;
  const T* kept = kind == Activation::gelu ? run.inputs[2] : run.inputs[0];
  for (std::int64_t i = 0; i < run.shape(1).elements(); ++i) {
    run.outputs[0][i] = run.inputs[1][i] * slope(kind, kept[i]);
  }
}

}  // namespace

float activate(ops::Activation kind, float x) {
  return value(kind, x);
}
double activate(ops::Activation kind, double x) {
  return value(kind, x);
}
float activation_slope(ops::Activation kind, float y) {
  return slope(kind, y);
}
double activation_slope(ops::Activation kind, double y) {
  return slope(kind, y);
}

void reference_activation(Registry& registry) {
  registry.add("activation", forward<float>, forward<double>);
  registry.add("activation_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
