#include "src/ops/softmax_cross_entropy.hpp"

#include <algorithm>

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  write_loss(rows, [&](std::int64_t row) {
    const T* x = run.inputs[0] + row * rows.classes;
    T* p = run.outputs[1] + row * rows.classes;
    const T largest = *std::max_element(x, x + rows.classes);
    T sum = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) sum += p[c] = std::exp(x[c] - largest);
    T loss = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const T label = rows.label(row, c);
      if (label != 0) loss += label * (std::log(sum) - (x[c] - largest));
      p[c] /= sum;
    }
    return loss;
  });
}

template <class T>
void backward(const Run<T>& run) {
  const Rows<T> rows(run);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    T labels = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) labels += rows.label(row, c);
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const std::int64_t i = row * rows.classes + c;
      run.outputs[0][i] = rows.scale(row) * (run.inputs[0][i] * labels - rows.label(row, c));
    }
  }
}

}  // namespace

void reference_softmax_cross_entropy(Registry& registry) {
  registry.add("softmax_cross_entropy", forward<float>, forward<double>);
  registry.add("softmax_cross_entropy_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
