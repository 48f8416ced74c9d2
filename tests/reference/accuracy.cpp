#include "src/ops/accuracy.hpp"

#include <algorithm>

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
T hit(const Rows<T>& rows, ops::Accuracy kind, std::int64_t row) {
  const T* p = rows.run.inputs[0] + row * rows.classes;
  if (kind == ops::Accuracy::binary) {
    T right = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const bool one = static_cast<double>(p[c]) > 0.5;
      right += rows.label(row, c) == (one ? T(1) : T(0)) ? 1 : 0;
    }
    return right / static_cast<T>(rows.classes);
  }
  const auto predicted = std::max_element(p, p + rows.classes) - p;
  if (kind == ops::Accuracy::sparse_categorical) return rows.run.inputs[1][row] == static_cast<T>(predicted);
  const T* labels = rows.run.inputs[1] + row * rows.classes;
  return std::max_element(labels, labels + rows.classes) - labels == predicted;
}

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  T hits = 0, weights = 0;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    hits += rows.weight(row) * hit(rows, run.template attrs<ops::AccuracyAttrs>().kind, row);
    weights += rows.weight(row);
  }
  run.outputs[0][0] = hits, run.outputs[0][1] = weights;
}

}  // namespace

void reference_accuracy(Registry& registry) {
  registry.add("accuracy", forward<float>, forward<double>);
}

}  // namespace gpunn::reference
