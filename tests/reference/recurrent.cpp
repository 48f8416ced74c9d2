#include "src/ops/recurrent.hpp"

#include <algorithm>

#include "tests/reference/reference.hpp"
#include "tests/reference/rnn.hpp"

namespace gpunn::reference {
namespace {

RnnCell cell_of(ops::RecurrentCell cell) {
  switch (cell) {
    case ops::RecurrentCell::simple:
      return RnnCell::simple;
    case ops::RecurrentCell::gru:
      return RnnCell::gru;
    case ops::RecurrentCell::gru_reset_before:
      return RnnCell::gru_reset_before;
    case ops::RecurrentCell::lstm:
      break;
  }
  return RnnCell::lstm;
}

RnnActivation activation_of(ops::Activation kind) {
  switch (kind) {
    case ops::Activation::linear:
      return RnnActivation::linear;
    case ops::Activation::relu:
      return RnnActivation::relu;
    case ops::Activation::sigmoid:
      return RnnActivation::sigmoid;
    case ops::Activation::tanh:
      return RnnActivation::tanh;
    case ops::Activation::gelu:
      break;
  }
  return RnnActivation::gelu;
}

template <class T>
Numbers numbers(const Run<T>& run, std::size_t k) {
  if (!run.has(k)) return {};
  return {run.inputs[k], run.inputs[k] + run.shape(k).elements()};
}

template <class T>
RnnProblem problem_of(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::RecurrentAttrs>();
  const Shape& x = run.shape(ops::kRecurrentX);
  const auto masks = [&](std::size_t k) { return run.has(k) ? static_cast<int>(run.shape(k)[1]) : 0; };
  RnnProblem p;
  p.shape = {.cell = cell_of(attrs.cell),
             .rows = x[0],
             .steps = x[1],
             .input = x[2],
             .units = run.shape(ops::kRecurrentWeights)[0],
             .sequences = attrs.sequence,
             .reversed = attrs.reversed,
             .activation = activation_of(attrs.activation),
             .recurrent_activation = activation_of(attrs.recurrent_activation),
             .input_masks = masks(ops::kRecurrentInputDropout),
             .recurrent_masks = masks(ops::kRecurrentStateDropout)};
  p.x = numbers(run, ops::kRecurrentX);
  p.kernel = numbers(run, ops::kRecurrentKernel);
  p.recurrent = numbers(run, ops::kRecurrentWeights);
  p.bias = numbers(run, ops::kRecurrentBias);
  p.h0 = numbers(run, ops::kRecurrentH0);
  p.c0 = numbers(run, ops::kRecurrentC0);
  p.input_mask = numbers(run, ops::kRecurrentInputDropout);
  p.recurrent_mask = numbers(run, ops::kRecurrentStateDropout);
  for (const double m : numbers(run, ops::kRecurrentMask)) p.mask.push_back(m != 0 ? 1 : 0);
  return p;
}

template <class T>
void give(const Run<T>& run, std::size_t output, const Numbers& values) {
  const auto wanted = static_cast<std::size_t>(run.out_shape(output).elements());
  std::transform(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(wanted), run.outputs[output],
                 [](double v) { return static_cast<T>(v); });
}

template <class T>
void forward(const Run<T>& run) {
  const RnnOutputs out = forward(problem_of(run));
  give(run, ops::kRecurrentOutSequence, out.y);
  give(run, ops::kRecurrentOutH, out.h_last);
  give(run, ops::kRecurrentOutC, out.c_last);
  // Nothing is kept: backward walks forward again.
}

// Nothing is packed either: the weights are read as they are.
template <class T>
void pack(const Run<T>&) {}

template <class T>
void backward(const Run<T>& run) {
  RnnProblem p = problem_of(run);
  p.dy = numbers(run, ops::kRecurrentDsequence);
  p.dh_last = numbers(run, ops::kRecurrentDh);
  p.dc_last = numbers(run, ops::kRecurrentDc);
  const RnnGradients g = backward(p);
  give(run, 0, g.dx);
  give(run, 1, g.dh0);
  give(run, 2, g.dc0);
  give(run, 3, g.dkernel);
  give(run, 4, g.drecurrent);
  give(run, 5, g.dbias);
}

}  // namespace

void reference_recurrent(Registry& registry) {
  registry.add("recurrent", forward<float>, forward<double>);
  registry.add("recurrent_pack", pack<float>, pack<double>);
  registry.add("recurrent_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
