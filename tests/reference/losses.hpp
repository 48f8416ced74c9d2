// What the references of losses share.
#pragma once

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {

// Vectors of classes; each counts as a row of the loss.
template <class T>
struct Rows {
  explicit Rows(const Run<T>& run)
      : run(run), count(vectors(run.shape(0))), classes(run.shape(0)[-1]) {}

  T weight(std::int64_t row) const { return run.has(2) ? run.inputs[2][row * run.shape(2).elements() / count] : T(1); }
  bool sparse() const { return run.call.inputs[1].dtype == Dtype::i32; }
  // The label of a class of a row, as a number between 0 and 1; NaN where the class number is out of range.
  T label(std::int64_t row, std::int64_t c) const {
    if (!sparse()) return run.inputs[1][row * classes + c];
    const T number = run.inputs[1][row];
    if (number < 0 || number >= static_cast<T>(classes)) return NAN;
    return number == static_cast<T>(c) ? 1 : 0;
  }
  // What backward multiplies a row's gradient with.
  T scale(std::int64_t row) const {
    return weight(row) / static_cast<T>(count) * (run.has(3) ? run.inputs[3][0] : T(1));
  }

  const Run<T>& run;
  std::int64_t count, classes;
};

// (sum of weighted row losses, rows)
template <class T, class RowLoss>
void write_loss(const Rows<T>& rows, RowLoss row_loss) {
  T sum = 0;
  for (std::int64_t row = 0; row < rows.count; ++row) sum += rows.weight(row) * row_loss(row);
  rows.run.outputs[0][0] = sum;
  rows.run.outputs[0][1] = static_cast<T>(rows.count);
}

template <class T>
T clipped(T p) {
  const T epsilon = static_cast<T>(1e-7f);
  return p < epsilon ? epsilon : p > 1 - epsilon ? 1 - epsilon : p;
}

}  // namespace gpunn::reference
