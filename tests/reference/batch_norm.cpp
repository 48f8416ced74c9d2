#include "src/ops/batch_norm.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

// Sums f(index, channel) over the elements of each channel.
template <class T, class F>
void sum_channels(const Shape& x, T* sums, F f) {
  const std::int64_t channels = x[-1];
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = 0;
  for (std::int64_t i = 0; i < x.elements(); ++i) sums[i % channels] += f(i, i % channels);
}

template <class T>
T elements_per_channel(const Shape& x) {
  return static_cast<T>(vectors(x));
}

// What element i counts for in a mean: 1 / N, or 0 in a step that the mask (input k, its count after it)
// hides.
template <class T>
T share(const Run<T>& run, std::size_t k, std::int64_t i) {
  const Shape& x = run.shape(0);
  if (!run.has(k)) return 1 / elements_per_channel<T>(x);
  const std::int64_t step = x.elements() / x[0] / x[1];  // its numbers
  const T real = run.inputs[k + 1][0] * static_cast<T>(step / x[-1]);
  return run.inputs[k][i / step] != 0 ? 1 / (real + static_cast<T>(ops::kMaskedCountFloor)) : T(0);
}

template <class T>
void mean(const Run<T>& run) {
  sum_channels(run.shape(0), run.outputs[0], [&](auto i, auto) {
    const T weight = share(run, 1, i);
    return weight == 0 ? T(0) : run.inputs[0][i] * weight;  // what is hidden may be anything
  });
}

template <class T>
void variance(const Run<T>& run) {
  sum_channels(run.shape(0), run.outputs[0], [&](auto i, auto c) {
    const T centred = run.inputs[0][i] - run.inputs[1][c], weight = share(run, 2, i);
    return weight == 0 ? T(0) : centred * centred * weight;
  });
}

template <class T>
void forward(const Run<T>& run) {
  const T epsilon = static_cast<T>(run.template attrs<ops::BatchNormAttrs>().epsilon);
  const std::int64_t channels = run.shape(0)[-1];
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    const std::int64_t c = i % channels;
    const T normal = (run.inputs[0][i] - run.inputs[1][c]) / std::sqrt(run.inputs[2][c] + epsilon);
    run.outputs[0][i] =
        normal * (run.has(3) ? run.inputs[3][c] : T(1)) + (run.has(4) ? run.inputs[4][c] : T(0));
  }
}

template <class T>
void backward_sums(const Run<T>& run) {
  const T epsilon = static_cast<T>(run.template attrs<ops::BatchNormAttrs>().epsilon);
  const T *x = run.inputs[0], *dy = run.inputs[1], *mean = run.inputs[2], *variance = run.inputs[3];
  sum_channels(run.shape(0), run.outputs[0],
               [&](auto i, auto c) { return dy[i] * (x[i] - mean[c]) / std::sqrt(variance[c] + epsilon); });
  sum_channels(run.shape(0), run.outputs[1], [&](auto i, auto) { return dy[i]; });
}

template <class T>
void backward(const Run<T>& run) {
  const T epsilon = static_cast<T>(run.template attrs<ops::BatchNormAttrs>().epsilon);
  const std::int64_t channels = run.shape(0)[-1];
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    const std::int64_t c = i % channels;
    const T deviation = std::sqrt(run.inputs[3][c] + epsilon);
    T centred = run.inputs[1][i];
    if (run.has(5)) {
      const T normal = (run.inputs[0][i] - run.inputs[2][c]) / deviation;
      const T weight = share(run, 7, i);
      if (weight != 0) centred -= (run.inputs[6][c] + normal * run.inputs[5][c]) * weight;
    }
    run.outputs[0][i] = (run.has(4) ? run.inputs[4][c] : T(1)) / deviation * centred;
  }
}

template <class T>
void update(const Run<T>& run) {
  const T momentum = static_cast<T>(run.template attrs<ops::BatchNormUpdateAttrs>().momentum);
  for (std::int64_t c = 0; c < run.shape(0)[0]; ++c) {
    run.inputs[0][c] = momentum * run.inputs[0][c] + (1 - momentum) * run.inputs[2][c];
    run.inputs[1][c] = momentum * run.inputs[1][c] + (1 - momentum) * run.inputs[3][c];
  }
}

}  // namespace

void reference_batch_norm(Registry& registry) {
  registry.add("batch_norm_mean", mean<float>, mean<double>);
  registry.add("batch_norm_variance", variance<float>, variance<double>);
  registry.add("batch_norm", forward<float>, forward<double>);
  registry.add("batch_norm_backward_sums", backward_sums<float>, backward_sums<double>);
  registry.add("batch_norm_backward", backward<float>, backward<double>);
  registry.add("batch_norm_update", update<float>, update<double>);
}

}  // namespace gpunn::reference
