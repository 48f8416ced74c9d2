#include "src/ops/conv2d.hpp"

#include <array>

#include "tests/reference/activate.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

// Calls f(x, w, y) with the indexes of every product x[] * W[] that goes into y[].
template <class F>
void for_each_product(const ops::Conv2dAttrs& attrs, const Shape& x_shape, const Shape& w_shape,
                      const Shape& y_shape, F f) {
  // Plain arrays: a Shape checks every index.
  const auto extents = [](const Shape& s) { return std::array<std::int64_t, 4>{s[0], s[1], s[2], s[3]}; };
  const auto x = extents(x_shape), w = extents(w_shape), y = extents(y_shape);
  const std::int64_t in_per_group = w[2], out_per_group = w[3] / attrs.groups;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t i = 0; i < y[1]; ++i)
      for (std::int64_t j = 0; j < y[2]; ++j)
        for (std::int64_t o = 0; o < y[3]; ++o)
          for (std::int64_t ki = 0; ki < w[0]; ++ki)
            for (std::int64_t kj = 0; kj < w[1]; ++kj) {
              const std::int64_t row =
                  i * attrs.strides.height - attrs.padding.top + ki * attrs.dilation.height;
              const std::int64_t column =
                  j * attrs.strides.width - attrs.padding.left + kj * attrs.dilation.width;
              if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
              for (std::int64_t c = 0; c < in_per_group; ++c) {
                const std::int64_t channel = o / out_per_group * in_per_group + c;
                f(((n * x[1] + row) * x[2] + column) * x[3] + channel,
                  ((ki * w[1] + kj) * w[2] + c) * w[3] + o, ((n * y[1] + i) * y[2] + j) * y[3] + o);
              }
            }
}

template <class T>
void forward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dAttrs>();
  const Shape& y = run.out_shape(0);
  T* out = run.outputs[0];
  for (std::int64_t i = 0; i < y.elements(); ++i) out[i] = run.has(2) ? run.inputs[2][i % y[3]] : T(0);
  for_each_product(attrs, run.shape(0), run.shape(1), y,
                   [&](std::int64_t ix, std::int64_t iw, std::int64_t iy) {
                     out[iy] += run.inputs[0][ix] * run.inputs[1][iw];
                   });
  for (std::int64_t i = 0; i < y.elements(); ++i) out[i] = activate(attrs.activation, out[i]);
}

template <class T>
void backward_data(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dBackwardDataAttrs>();
  const Shape& x = run.out_shape(0);
  T* dx = run.outputs[0];
  for (std::int64_t i = 0; i < x.elements(); ++i) dx[i] = 0;
  for_each_product(attrs.conv, x, run.shape(1), run.shape(0),
                   [&](std::int64_t ix, std::int64_t iw, std::int64_t iy) {
                     dx[ix] += run.inputs[0][iy] * run.inputs[1][iw];
                   });
  if (!run.has(2)) return;
  for (std::int64_t i = 0; i < x.elements(); ++i) dx[i] *= activation_slope(attrs.slope, run.inputs[2][i]);
}

template <class T>
void backward_weights(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dBackwardWeightsAttrs>();
  const Shape &w = run.out_shape(0), &y = run.shape(1);
  T *dw = run.outputs[0], *db = run.outputs[1];
  for (std::int64_t i = 0; i < w.elements(); ++i) dw[i] = 0;
  for_each_product(attrs.conv, run.shape(0), w, y, [&](std::int64_t ix, std::int64_t iw, std::int64_t iy) {
    dw[iw] += run.inputs[0][ix] * run.inputs[1][iy];
  });
  if (!attrs.bias) return;
  for (std::int64_t o = 0; o < y[3]; ++o) db[o] = 0;
  for (std::int64_t i = 0; i < y.elements(); ++i) db[i % y[3]] += run.inputs[1][i];
}

}  // namespace

void reference_conv2d(Registry& registry) {
  registry.add("conv2d", forward<float>, forward<double>);
  registry.add("conv2d_backward_data", backward_data<float>, backward_data<double>);
  registry.add("conv2d_backward_weights", backward_weights<float>, backward_weights<double>);
}

}  // namespace gpunn::reference
