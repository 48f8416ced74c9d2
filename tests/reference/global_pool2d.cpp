#include "src/ops/global_pool2d.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void max_forward(const Run<T>& run) {
  const Shape& x = run.shape(0);
  for (std::int64_t n = 0; n < x[0]; ++n) {
    for (std::int64_t c = 0; c < x[3]; ++c) {
      const T* image = run.inputs[0] + n * x[1] * x[2] * x[3] + c;
      std::int64_t best = 0;
      for (std::int64_t at = 1; at < x[1] * x[2]; ++at) {
        if (std::isnan(image[best * x[3]])) break;
        if (image[at * x[3]] > image[best * x[3]] || std::isnan(image[at * x[3]])) best = at;
      }
      run.outputs[0][n * x[3] + c] = image[best * x[3]];
      run.outputs[1][n * x[3] + c] = static_cast<T>(best);
    }
  }
}

template <class T>
void max_backward(const Run<T>& run) {
  const Shape& x = run.out_shape(0);
  for (std::int64_t i = 0; i < x.elements(); ++i) run.outputs[0][i] = 0;
  for (std::int64_t n = 0; n < x[0]; ++n) {
    for (std::int64_t c = 0; c < x[3]; ++c) {
      const auto at = static_cast<std::int64_t>(run.inputs[1][n * x[3] + c]);
      run.outputs[0][(n * x[1] * x[2] + at) * x[3] + c] = run.inputs[0][n * x[3] + c];
    }
  }
}

template <class T>
void average_forward(const Run<T>& run) {
  const Shape& x = run.shape(0);
  for (std::int64_t n = 0; n < x[0]; ++n) {
    for (std::int64_t c = 0; c < x[3]; ++c) {
      T sum = 0;
      for (std::int64_t at = 0; at < x[1] * x[2]; ++at)
        sum += run.inputs[0][(n * x[1] * x[2] + at) * x[3] + c];
      run.outputs[0][n * x[3] + c] = sum / static_cast<T>(x[1] * x[2]);
    }
  }
}

template <class T>
void average_backward(const Run<T>& run) {
  const Shape& x = run.out_shape(0);
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const std::int64_t n = i / (x[1] * x[2] * x[3]), c = i % x[3];
    run.outputs[0][i] = run.inputs[0][n * x[3] + c] / static_cast<T>(x[1] * x[2]);
  }
}

}  // namespace

void reference_global_pool2d(Registry& registry) {
  registry.add("global_max_pool2d", max_forward<float>, max_forward<double>);
  registry.add("global_max_pool2d_backward", max_backward<float>, max_backward<double>);
  registry.add("global_average_pool2d", average_forward<float>, average_forward<double>);
  registry.add("global_average_pool2d_backward", average_backward<float>, average_backward<double>);
}

}  // namespace gpunn::reference
