#include "src/ops/softmax.hpp"

#include <algorithm>
#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const std::int64_t classes = run.shape(0)[-1];
  for (std::int64_t v = 0; v < vectors(run.shape(0)); ++v) {
    const T* x = run.inputs[0] + v * classes;
    T* y = run.outputs[0] + v * classes;
    const T largest = *std::max_element(x, x + classes);
    T sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += y[c] = std::exp(x[c] - largest);
    for (std::int64_t c = 0; c < classes; ++c) y[c] /= sum;
  }
}

template <class T>
void backward(const Run<T>& run) {
  const std::int64_t classes = run.shape(0)[-1];
  for (std::int64_t v = 0; v < vectors(run.shape(0)); ++v) {
    const T *y = run.inputs[0] + v * classes, *dy = run.inputs[1] + v * classes;
    T sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += y[c] * dy[c];
    for (std::int64_t c = 0; c < classes; ++c) run.outputs[0][v * classes + c] = y[c] * (dy[c] - sum);
  }
}

}  // namespace

void reference_softmax(Registry& registry) {
  registry.add("softmax", forward<float>, forward<double>);
  registry.add("softmax_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
