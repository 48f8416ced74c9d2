#include "src/ops/dense.hpp"

#include "tests/reference/activate.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const std::int64_t rows = run.call.inputs[0].shape.with(-1, 1).elements();
  const std::int64_t in = run.shape(1)[0], out = run.shape(1)[1];
  const auto& attrs = run.template attrs<ops::DenseAttrs>();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t j = 0; j < out; ++j) {
      T sum = run.has(2) ? run.inputs[2][j] : T(0);
      for (std::int64_t i = 0; i < in; ++i) sum += run.inputs[0][row * in + i] * run.inputs[1][i * out + j];
      run.outputs[0][row * out + j] = activate(attrs.activation, sum);
    }
  }
}

template <class T>
void backward_data(const Run<T>& run) {
  const std::int64_t rows = run.shape(0).with(-1, 1).elements();
  const std::int64_t in = run.shape(1)[0], out = run.shape(1)[1];
  const auto& attrs = run.template attrs<ops::DenseBackwardDataAttrs>();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < in; ++i) {
      T sum = 0;
      for (std::int64_t j = 0; j < out; ++j) sum += run.inputs[0][row * out + j] * run.inputs[1][i * out + j];
      if (run.has(2)) sum *= activation_slope(attrs.slope, run.inputs[2][row * in + i]);
      run.outputs[0][row * in + i] = sum;
    }
  }
}

template <class T>
void backward_weights(const Run<T>& run) {
  const std::int64_t rows = run.shape(0).with(-1, 1).elements();
  const std::int64_t in = run.shape(0)[-1], out = run.shape(1)[-1];
  const T *x = run.inputs[0], *dz = run.inputs[1];
  for (std::int64_t i = 0; i < in; ++i) {
    for (std::int64_t j = 0; j < out; ++j) {
      T sum = 0;
      for (std::int64_t row = 0; row < rows; ++row) sum += x[row * in + i] * dz[row * out + j];
      run.outputs[0][i * out + j] = sum;
    }
  }
  for (std::int64_t j = 0; j < run.out_shape(1)[0]; ++j) {
    T sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) sum += dz[row * out + j];
    run.outputs[1][j] = sum;
  }
}

}  // namespace

void reference_dense(Registry& registry) {
  registry.add("dense", forward<float>, forward<double>);
  registry.add("dense_backward_data", backward_data<float>, backward_data<double>);
  registry.add("dense_backward_weights", backward_weights<float>, backward_weights<double>);
}

}  // namespace gpunn::reference
