#include "src/ops/binary.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

using ops::Binary;

// Where element `index` of a tensor of shape `full` comes from in one that was broadcast to it.
std::int64_t source(std::int64_t index, const Shape& full, const Shape& small) {
  std::int64_t at = 0, stride = 1;
  for (int axis = 1; axis <= full.rank(); ++axis) {
    const std::int64_t coordinate = index % full[-axis];
    index /= full[-axis];
    if (axis > small.rank()) continue;
    if (small[-axis] != 1) at += coordinate * stride;
    stride *= small[-axis];
  }
  return at;
}

template <class T>
T value(Binary kind, T a, T b) {
  switch (kind) {
    case Binary::add:
      return a + b;
    case Binary::subtract:
      return a - b;
    case Binary::multiply:
      return a * b;
    case Binary::divide:
      return a / b;
    case Binary::maximum:
      return std::isnan(a) || a > b ? a : b;
    case Binary::minimum:
      return std::isnan(a) || a < b ? a : b;
  }
  return NAN;
}

// The derivative by operand a (0) or b (1).
template <class T>
T slope(Binary kind, int operand, T a, T b) {
  const T mine = operand == 0 ? a : b, other = operand == 0 ? b : a;
  switch (kind) {
    case Binary::add:
      return 1;
    case Binary::subtract:
      return operand == 0 ? T(1) : T(-1);
    case Binary::multiply:
      return other;
    case Binary::divide:
      return operand == 0 ? 1 / b : -a / (b * b);
    case Binary::maximum:
      return mine > other ? T(1) : mine < other ? T(0) : T(0.5);
    case Binary::minimum:
      return mine < other ? T(1) : mine > other ? T(0) : T(0.5);
  }
  return NAN;
}

template <class T>
void forward(const Run<T>& run) {
  const Shape& y = run.out_shape(0);
  for (std::int64_t i = 0; i < y.elements(); ++i) {
    run.outputs[0][i] =
        value(run.template attrs<ops::BinaryAttrs>().kind, run.inputs[0][source(i, y, run.shape(0))],
              run.inputs[1][source(i, y, run.shape(1))]);
  }
}

template <class T>
void backward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::BinaryBackwardAttrs>();
  const Shape& y = run.shape(0);
  for (std::int64_t i = 0; i < y.elements(); ++i) {
    run.outputs[0][i] =
        run.inputs[0][i] * slope(attrs.kind, attrs.operand, run.inputs[1][source(i, y, run.shape(1))],
                                 run.inputs[2][source(i, y, run.shape(2))]);
  }
}

template <class T>
void reduce(const Run<T>& run) {
  const Shape &x = run.shape(0), &y = run.out_shape(0);
  for (std::int64_t i = 0; i < y.elements(); ++i) run.outputs[0][i] = 0;
  for (std::int64_t i = 0; i < x.elements(); ++i) run.outputs[0][source(i, x, y)] += run.inputs[0][i];
}

}  // namespace

void reference_binary(Registry& registry) {
  registry.add("binary", forward<float>, forward<double>);
  registry.add("binary_backward", backward<float>, backward<double>);
  registry.add("reduce_each", reduce<float>, reduce<double>);
  registry.add("reduce_sum", reduce<float>, reduce<double>);
}

}  // namespace gpunn::reference
