#include "src/ops/conv2d_pool.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

constexpr int kDead = 4;

// Calls f(x, w) with the indexes of every product that goes into element (n, i, j, o) of the unpooled map.
template <class F>
void for_each_product(const ops::Padding2d& padding, const Shape& x, const Shape& w, std::int64_t n,
                      std::int64_t i, std::int64_t j, std::int64_t o, F f) {
  for (std::int64_t ki = 0; ki < w[0]; ++ki) {
    for (std::int64_t kj = 0; kj < w[1]; ++kj) {
      const std::int64_t row = i - padding.top + ki, column = j - padding.left + kj;
      if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
      for (std::int64_t c = 0; c < x[3]; ++c) {
        f(((n * x[1] + row) * x[2] + column) * x[3] + c, ((ki * w[1] + kj) * w[2] + c) * w[3] + o);
      }
    }
  }
}

// Calls f(n, i, j, o, index) for every element of the pooled map.
template <class F>
void for_each_window(const Shape& y, F f) {
  for (std::int64_t index = 0; index < y.elements(); ++index) {
    f(index / (y[1] * y[2] * y[3]), index / (y[2] * y[3]) % y[1], index / y[3] % y[2], index % y[3], index);
  }
}

template <class T>
void forward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dPoolAttrs>();
  for_each_window(run.out_shape(0), [&](auto n, auto i, auto j, auto o, auto index) {
    T best = 0;
    int winner = -1;
    for (int place = 0; place < 4; ++place) {
      T sum = run.has(2) ? run.inputs[2][o] : T(0);
      for_each_product(attrs.padding, run.shape(0), run.shape(1), n, 2 * i + place / 2, 2 * j + place % 2, o,
                       [&](auto ix, auto iw) { sum += run.inputs[0][ix] * run.inputs[1][iw]; });
      if (winner >= 0 && (std::isnan(best) || !(sum > best || std::isnan(sum)))) continue;
      best = sum, winner = place;
    }
    const bool dead = attrs.activation == ops::Activation::relu && best <= 0;
    run.outputs[0][index] = dead ? T(0) : best;
    run.outputs[1][index] = static_cast<T>(dead ? kDead : winner);
  });
}

template <class T>
void backward_data(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dPoolBackwardDataAttrs>();
  const Shape& x = run.out_shape(0);
  for (std::int64_t k = 0; k < x.elements(); ++k) run.outputs[0][k] = 0;
  for_each_window(run.shape(0), [&](auto n, auto i, auto j, auto o, auto index) {
    const auto place = static_cast<int>(run.inputs[2][index]);
    if (place == kDead) return;
    for_each_product(
        attrs.padding, x, run.shape(1), n, 2 * i + place / 2, 2 * j + place % 2, o,
        [&](auto ix, auto iw) { run.outputs[0][ix] += run.inputs[0][index] * run.inputs[1][iw]; });
  });
}

template <class T>
void backward_weights(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::Conv2dPoolBackwardWeightsAttrs>();
  const Shape& w = run.out_shape(0);
  T *dw = run.outputs[0], *db = run.outputs[1];
  for (std::int64_t k = 0; k < w.elements(); ++k) dw[k] = 0;
  for (std::int64_t o = 0; attrs.bias && o < w[3]; ++o) db[o] = 0;
  for_each_window(run.shape(1), [&](auto n, auto i, auto j, auto o, auto index) {
    const auto place = static_cast<int>(run.inputs[2][index]);
    if (place == kDead) return;
    const T dy = run.inputs[1][index];
    for_each_product(attrs.padding, run.shape(0), w, n, 2 * i + place / 2, 2 * j + place % 2, o,
                     [&](auto ix, auto iw) { dw[iw] += run.inputs[0][ix] * dy; });
    if (attrs.bias) db[o] += dy;
  });
}

}  // namespace

void reference_conv2d_pool(Registry& registry) {
  registry.add("conv2d_pool", forward<float>, forward<double>);
  registry.add("conv2d_pool_backward_data", backward_data<float>, backward_data<double>);
  registry.add("conv2d_pool_backward_weights", backward_weights<float>, backward_weights<double>);
}

}  // namespace gpunn::reference
