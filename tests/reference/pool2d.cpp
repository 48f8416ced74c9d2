#include "src/ops/pool2d.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

// Calls f(position in the image) for the elements that window (i, j) sees.
template <class F>
void for_each_seen(const ops::Pool2dAttrs& attrs, ops::Size2d image, std::int64_t i, std::int64_t j, F f) {
  for (std::int64_t ki = 0; ki < attrs.window.height; ++ki) {
    for (std::int64_t kj = 0; kj < attrs.window.width; ++kj) {
      const std::int64_t row = i * attrs.strides.height - attrs.padding.top + ki;
      const std::int64_t column = j * attrs.strides.width - attrs.padding.left + kj;
      if (row >= 0 && row < image.height && column >= 0 && column < image.width)
        f(row * image.width + column);
    }
  }
}

// Calls f(n, i, j, c, index) for every element of a pooled image.
template <class F>
void for_each_element(const Shape& y, F f) {
  for (std::int64_t index = 0; index < y.elements(); ++index) {
    f(index / (y[1] * y[2] * y[3]), index / (y[2] * y[3]) % y[1], index / y[3] % y[2], index % y[3], index);
  }
}

template <class T>
void max_forward(const Run<T>& run) {
  const Shape& x = run.shape(0);
  for_each_element(run.out_shape(0), [&](auto n, auto i, auto j, auto c, auto index) {
    const T* image = run.inputs[0] + n * x[1] * x[2] * x[3];
    std::int64_t best = -1;
    for_each_seen(run.template attrs<ops::Pool2dAttrs>(), {x[1], x[2]}, i, j, [&](std::int64_t at) {
      if (best >= 0 && std::isnan(image[best * x[3] + c])) return;
      if (best < 0 || image[at * x[3] + c] > image[best * x[3] + c] || std::isnan(image[at * x[3] + c]))
        best = at;
    });
    run.outputs[0][index] = image[best * x[3] + c];
    run.outputs[1][index] = static_cast<T>(best);
  });
}

template <class T>
void max_backward(const Run<T>& run) {
  const Shape& x = run.out_shape(0);
  for (std::int64_t i = 0; i < x.elements(); ++i) run.outputs[0][i] = 0;
  for_each_element(run.shape(0), [&](auto n, auto, auto, auto c, auto index) {
    const auto at = static_cast<std::int64_t>(run.inputs[1][index]);
    run.outputs[0][(n * x[1] * x[2] + at) * x[3] + c] += run.inputs[0][index];
  });
}

template <class T>
void average_forward(const Run<T>& run) {
  const Shape& x = run.shape(0);
  for_each_element(run.out_shape(0), [&](auto n, auto i, auto j, auto c, auto index) {
    T sum = 0, seen = 0;
    for_each_seen(run.template attrs<ops::Pool2dAttrs>(), {x[1], x[2]}, i, j, [&](std::int64_t at) {
      sum += run.inputs[0][(n * x[1] * x[2] + at) * x[3] + c];
      seen += 1;
    });
    run.outputs[0][index] = sum / seen;
  });
}

template <class T>
void average_backward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Pool2dBackwardAttrs>();
  const Shape& x = run.out_shape(0);
  for (std::int64_t i = 0; i < x.elements(); ++i) run.outputs[0][i] = 0;
  for_each_element(run.shape(0), [&](auto n, auto i, auto j, auto c, auto index) {
    T seen = 0;
    for_each_seen(attrs.pool, attrs.input, i, j, [&](std::int64_t) { seen += 1; });
    for_each_seen(attrs.pool, attrs.input, i, j, [&](std::int64_t at) {
      run.outputs[0][(n * x[1] * x[2] + at) * x[3] + c] += run.inputs[0][index] / seen;
    });
  });
}

}  // namespace

void reference_pool2d(Registry& registry) {
  registry.add("max_pool2d", max_forward<float>, max_forward<double>);
  registry.add("max_pool2d_backward", max_backward<float>, max_backward<double>);
  registry.add("average_pool2d", average_forward<float>, average_forward<double>);
  registry.add("average_pool2d_backward", average_backward<float>, average_backward<double>);
}

}  // namespace gpunn::reference
