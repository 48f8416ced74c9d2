#include "src/ops/cross_entropy.hpp"

#include "tests/reference/losses.hpp"

namespace gpunn::reference {
namespace {

template <class T>
T sum_of(const T* p, std::int64_t classes) {
  T sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += p[c];
  return sum;
}

template <class T>
void forward(const Run<T>& run) {
  const Rows<T> rows(run);
  write_loss(rows, [&](std::int64_t row) {
    const T* p = run.inputs[0] + row * rows.classes;
    const T sum = sum_of(p, rows.classes);
    T loss = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c)
      loss -= rows.label(row, c) * std::log(clipped(p[c] / sum));
    return loss;
  });
}

// With q = p / sum: dq = -label / q where not clipped, dp = (dq - sum(dq * q)) / sum.
template <class T>
void backward(const Run<T>& run) {
  const Rows<T> rows(run);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const T* p = run.inputs[0] + row * rows.classes;
    const T sum = sum_of(p, rows.classes);
    std::vector<T> dq(static_cast<std::size_t>(rows.classes));
    T along = 0;
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      const T q = p[c] / sum;
      const T slope = clipped(q) == q ? -rows.label(row, c) / q : T(0);
      dq[static_cast<std::size_t>(c)] = slope;
      along += slope * q;
    }
    for (std::int64_t c = 0; c < rows.classes; ++c) {
      run.outputs[0][row * rows.classes + c] =
          rows.scale(row) * (dq[static_cast<std::size_t>(c)] - along) / sum;
    }
  }
}

}  // namespace

void reference_cross_entropy(Registry& registry) {
  registry.add("cross_entropy", forward<float>, forward<double>);
  registry.add("cross_entropy_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
