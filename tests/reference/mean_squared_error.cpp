#include "src/ops/mean_squared_error.hpp"

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  write_loss(rows, [&](std::int64_t row) {
    T loss = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const T difference = run.inputs[0][row * rows.classes + c] - rows.label(row, c);
      loss += difference * difference;
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
          rows.scale(row) * 2 * (run.inputs[0][i] - rows.label(row, c)) / static_cast<T>(rows.classes);
    }
  }
}

}  // namespace

void reference_mean_squared_error(Registry& registry) {
  registry.add("mean_squared_error", forward<float>, forward<double>);
  registry.add("mean_squared_error_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
