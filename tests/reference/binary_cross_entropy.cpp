#include "src/ops/binary_cross_entropy.hpp"

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  write_loss(rows, [&](std::int64_t row) {
    T loss = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const T p = clipped(run.inputs[0][row * rows.classes + c]), label = rows.label(row, c);
      loss -= label * std::log(p) + (1 - label) * std::log(1 - p);
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
      const T p = run.inputs[0][i], label = rows.label(row, c);
      const T slope = clipped(p) == p ? (p - label) / (p * (1 - p)) : T(0);
      run.outputs[0][i] = rows.scale(row) * slope / static_cast<T>(rows.classes);
    }
  }
}

}  // namespace

void reference_binary_cross_entropy(Registry& registry) {
  registry.add("binary_cross_entropy", forward<float>, forward<double>);
  registry.add("binary_cross_entropy_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
