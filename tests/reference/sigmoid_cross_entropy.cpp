#include "src/ops/sigmoid_cross_entropy.hpp"

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  write_loss(rows, [&](std::int64_t row) {
    T loss = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const T x = run.inputs[0][row * rows.classes + c];
      run.outputs[1][row * rows.classes + c] = 1 / (1 + std::exp(-x));
      loss += (x > 0 ? x : T(0)) - x * rows.label(row, c) + std::log1p(std::exp(-std::abs(x)));
    }
    return loss / static_cast<T>(rows.classes);
  });
}

template <class T>
void backward(const Run<T>& run) {
  const Rows<T> rows(run);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const std::int64_t i = row * rows.classes + c;
      run.outputs[0][i] =
          rows.scale(row) * (run.inputs[0][i] - rows.label(row, c)) / static_cast<T>(rows.classes);
    }
  }
}

}  // namespace

void reference_sigmoid_cross_entropy(Registry& registry) {
  registry.add("sigmoid_cross_entropy", forward<float>, forward<double>);
  registry.add("sigmoid_cross_entropy_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
