#include "src/cuda/recurrent.hpp"

#include <array>

#include "kernels/transpose.hpp"
#include "src/core/text.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/inner_products.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Layout;
using kernels::RecurrentCell;

RecurrentCell kernel_cell(ops::RecurrentCell cell) {
  switch (cell) {
    case ops::RecurrentCell::simple:
      return RecurrentCell::simple;
    case ops::RecurrentCell::gru:
      return RecurrentCell::gru;
    case ops::RecurrentCell::gru_reset_before:
      return RecurrentCell::gru_reset_before;
    case ops::RecurrentCell::lstm:
      break;
  }
  return RecurrentCell::lstm;
}

std::string reason_for_steps(const ops::RecurrentAttrs& attrs, std::int64_t units, int input_masks,
                             int state_masks) {
  if (units > kernels::kMostSequenceUnits)
    return cat(units, " units, more than ", kernels::kMostSequenceUnits);
  if (attrs.cell == ops::RecurrentCell::gru_reset_before) return "the reset gate comes before the product";
  if (!ops::has_default_activations(attrs)) {
    return cat(to_string(attrs.activation), " and ", to_string(attrs.recurrent_activation),
               ", not tanh and sigmoid");
  }
  if (state_masks > 0) return "dropout of the state";
  if (input_masks > 1) return "a dropout mask for each gate";
  return {};
}

}  // namespace

RecurrentCall::RecurrentCall(const OpCall& call, const Target& target)
    : attrs(call.attrs_as<ops::RecurrentAttrs>()),
      gates(ops::recurrent_gates(attrs.cell)),
      input(ops::recurrent_input_shape(call)[2]),
      bias(ops::has(call, ops::kRecurrentBias)) {
  const Shape& x = call.inputs[ops::kRecurrentX].shape;
  if (ops::has(call, ops::kRecurrentTable)) vocabulary = call.inputs[ops::kRecurrentTable].shape[0];
  const auto masks = [&](std::size_t k) {
    return ops::has(call, k) ? static_cast<int>(call.inputs[k].shape[1]) : 0;
  };
  input_masks = masks(ops::kRecurrentInputDropout);
  steps.state_masks = masks(ops::kRecurrentStateDropout);
  steps.shape = {kernel_cell(attrs.cell), x[0], x[1], call.inputs[ops::kRecurrentWeights].shape[0],
                 attrs.reversed};
  steps.activation = kernel_kind(attrs.activation);
  steps.recurrent_activation = kernel_kind(attrs.recurrent_activation);
  steps.split_x = input_masks > 1;
  steps.split_s = steps.state_masks > 1 || resets_before();
  why_steps = reason_for_steps(attrs, units(), input_masks, steps.state_masks);
  takes_input = why_steps.empty() && kernels::takes_input(shape(), input);
  why = why_steps;
  if (takes_input) {
    why = cat(units(), " units of ", input, " features, at most ", kernels::kMostProjected,
              ": no product of its own on sm_", target.architecture);
    if (vocabulary > 0) why += "; the embedding's rows are read where they are needed";
    if (attrs.draws) why += "; the dropout mask is drawn inside";
  } else if (why_steps.empty()) {
    why = cat(units(), " units, at most ", kernels::kMostSequenceUnits, ": weights stay in registers on sm_",
              target.architecture);
  } else {
    std::string reason;
    library = choose_recurrent_library(*this, call, target, reason);
    if (library) reason = library->why;
    if (!reason.empty()) why += "; " + reason;
  }
  if (!takes_input && (vocabulary > 0 || attrs.draws))
    throw UsageError("recurrent: no kernel looks rows up or draws masks for this shape", call.where);
}

RecurrentCall::Kept RecurrentCall::kept_at(float* kept) const {
  std::int64_t slots = 4;
  if (attrs.cell == ops::RecurrentCell::simple) slots = ops::has_default_activations(attrs) ? 0 : 1;
  if (resets_before()) slots = 3;
  const std::int64_t one = places() * units();
  float* cells = kept + slots * one;
  return {kept, lstm() ? cells : nullptr, lstm() ? cells + one : cells};
}

namespace {

// Scratch and products of the way forward.
struct Forward {
  explicit Forward(RecurrentCall call) : layer(std::move(call)) {}

  RecurrentCall layer;
  ScratchPart masked_x, x_gates, kernel, recurrent, s, operand, reset;
  std::vector<std::size_t> x_products, s_products;
  std::shared_ptr<const InnerProducts::Bound> products;

  void run_x(const Launch& l) const;
  void run_steps(const Launch& l, const kernels::RecurrentForward& f) const;
  kernels::RecurrentForward arguments(const Launch& l) const;
};

void Forward::run_x(const Launch& l) const {
  if (layer.input_masks > 0) {
    kernels::mask_features(gpu_of(l), layer.feature_masks(), l.in(ops::kRecurrentInputDropout),
                           l.in(ops::kRecurrentX), masked_x.of(l));
  }
  if (layer.steps.split_x) {
    kernels::transpose(gpu_of(l), std::array{layer.input, layer.gates, layer.units()}, std::array{1, 0, 2},
                       kernels::Accumulate::overwrite, l.in(ops::kRecurrentKernel), kernel.of(l));
  }
  for (const std::size_t product : x_products) products->run(product, l);
}

kernels::RecurrentForward Forward::arguments(const Launch& l) const {
  kernels::RecurrentForward f;
  f.x_gates = x_gates.of(l);
  f.recurrent = l.in(ops::kRecurrentWeights);
  if (layer.two_biases()) f.recurrent_bias = l.in(ops::kRecurrentBias) + layer.gates * layer.units();
  f.h0 = l.in(ops::kRecurrentH0);
  f.c0 = l.in(ops::kRecurrentC0);
  f.mask = l.in<std::uint8_t>(ops::kRecurrentMask);
  if (layer.attrs.keep) {
    const RecurrentCall::Kept kept = layer.kept_at(l.out(ops::kRecurrentOutKept));
    f.kept = kept.gates, f.cells = kept.cells, f.y = kept.y;
  }
  if (layer.attrs.sequence) f.y = l.out(ops::kRecurrentOutSequence);
  f.h_last = l.out(ops::kRecurrentOutH);
  if (layer.lstm()) f.c_last = l.out(ops::kRecurrentOutC);
  return f;
}

void Forward::run_steps(const Launch& l, const kernels::RecurrentForward& f) const {
  const kernels::RecurrentSteps steps = layer.with_mask(l);
  if (steps.split_s) {
    kernels::transpose(gpu_of(l), std::array{layer.units(), layer.gates, layer.units()}, std::array{1, 0, 2},
                       kernels::Accumulate::overwrite, f.recurrent, recurrent.of(l));
  }
  kernels::RecurrentState state;
  state.h = f.h_last, state.c = f.c_last;
  if (steps.state_masks > 0) state.operand = operand.of(l);
  state.s = s.of(l), state.reset = reset.of(l);
  kernels::recurrent_steps_begin(gpu_of(l), steps, f.h0, f.c0, state);
  for (std::int64_t step = 0; step < steps.shape.steps; ++step) {
    for (std::size_t k = 0; k < s_products.size(); ++k) {
      if (layer.resets_before() && k == 2) kernels::recurrent_step_reset(gpu_of(l), steps, step, f, state);
      products->run(s_products[k], l);
    }
    kernels::recurrent_step_forward(gpu_of(l), steps, step, f, state);
  }
}

// x W + b of all steps: one product, or one for each gate that has a mask of its own.
void add_x_products(const RecurrentCall& layer, InnerProducts& inner, Forward& forward) {
  const std::int64_t width = layer.units() * layer.gates / layer.x_parts();
  for (std::int64_t part = 0; part < layer.x_parts(); ++part) {
    InnerProduct product;
    product.gemm.shape = {Layout::nn, layer.places(), width, layer.input};
    product.gemm.bias = layer.bias;
    product.bias_offset = part * width;
    product.operands = [=, split = layer.steps.split_x, masked = layer.input_masks > 0, x = forward.masked_x,
                        y = forward.x_gates, kernel = forward.kernel, shape = product.gemm.shape,
                        bias = layer.bias](const Launch& l) {
      return LtPointers{masked ? x.of(l) + part * shape.m * shape.k : l.in(ops::kRecurrentX),
                        split ? kernel.of(l) + part * shape.k * width : l.in(ops::kRecurrentKernel),
                        y.of(l) + part * shape.m * width,
                        bias ? const_cast<float*>(l.in(ops::kRecurrentBias)) + part * width : nullptr};
    };
    forward.x_products.push_back(inner.add(std::move(product)));
  }
}

// h U of one step, likewise.
void add_s_products(const RecurrentCall& layer, InnerProducts& inner, Forward& forward) {
  const std::int64_t rows = layer.shape().rows, units = layer.units();
  const std::int64_t width = units * layer.gates / layer.s_parts();
  for (std::int64_t part = 0; part < layer.s_parts(); ++part) {
    InnerProduct product;
    product.times = static_cast<int>(layer.shape().steps);
    product.gemm.shape = {Layout::nn, rows, width, units};
    product.gemm.bias = layer.two_biases();
    product.bias_offset = layer.gates * units + part * width;
    const bool reset = layer.resets_before() && part == 2;
    product.operands = [=, split = layer.steps.split_s, masks = layer.steps.state_masks,
                        biases = layer.two_biases(), gates = layer.gates, s = forward.s,
                        operand = forward.operand, r = forward.reset,
                        recurrent = forward.recurrent](const Launch& l) {
      const float* h = l.out(ops::kRecurrentOutH);
      if (masks > 0) h = operand.of(l) + (masks > 1 ? part : 0) * rows * units;
      if (reset) h = r.of(l);
      return LtPointers{
          h, split ? recurrent.of(l) + part * units * width : l.in(ops::kRecurrentWeights),
          s.of(l) + part * rows * width,
          biases ? const_cast<float*>(l.in(ops::kRecurrentBias)) + gates * units + part * width : nullptr};
    };
    forward.s_products.push_back(inner.add(std::move(product)));
  }
}

int launches_of(const InnerProducts& inner, const std::vector<std::size_t>& products) {
  int sum = 0;
  for (const std::size_t product : products) sum += inner.launches(product);
  return sum;
}

}  // namespace

Implementation recurrent_forward(const OpCall& call, const Target& target) {
  Forward forward{RecurrentCall(call, target)};
  const RecurrentCall& layer = forward.layer;
  if (layer.takes_input) {
    Implementation whole;
    whole.name = "whole sequence", whole.why = layer.why;
    whole.run = [forward](const Launch& l) {
      kernels::RecurrentInput in = forward.layer.input_of(l);
      if (const ops::RecurrentAttrs& attrs = forward.layer.attrs; attrs.draws) {
        in.drawn = l.out(ops::kRecurrentOutMask);
        in.dropout = {attrs.dropout.rate, attrs.dropout.stream};
        in.state = static_cast<const kernels::StepState*>(l.step);
      }
      kernels::recurrent_forward(gpu_of(l), forward.layer.shape(), forward.arguments(l), &in);
    };
    return whole;
  }
  const bool by_steps = !layer.why_steps.empty();
  const std::int64_t states = layer.shape().rows * layer.units();
  InnerProducts inner(target);
  forward.x_gates = inner.buffer(layer.places() * layer.gates * layer.units());
  if (layer.input_masks > 0)
    forward.masked_x = inner.buffer(layer.input_masks * layer.places() * layer.input);
  if (layer.steps.split_x) forward.kernel = inner.buffer(layer.input * layer.gates * layer.units());
  if (by_steps) {
    forward.s = inner.buffer(states * layer.gates);
    if (layer.steps.split_s) forward.recurrent = inner.buffer(layer.units() * layer.gates * layer.units());
    if (layer.steps.state_masks > 0) forward.operand = inner.buffer(layer.steps.state_masks * states);
    if (layer.resets_before()) forward.reset = inner.buffer(states);
  }
  add_x_products(layer, inner, forward);
  if (by_steps) add_s_products(layer, inner, forward);
  forward.products = inner.bound();

  Implementation made;
  made.name = by_steps ? "per step" : "whole sequence";
  made.why = layer.why + "; products by " + inner.engines();
  made.scratch = inner.scratch();
  made.launches = (layer.input_masks > 0 ? 1 : 0) + (layer.steps.split_x ? 1 : 0) +
                  launches_of(inner, forward.x_products);
  const int each = launches_of(inner, forward.s_products) + 1 + (layer.resets_before() ? 1 : 0);
  made.launches +=
      by_steps ? 1 + (layer.steps.split_s ? 1 : 0) + each * static_cast<int>(layer.shape().steps) : 1;
  made.prepare = InnerProducts::prepare(forward.products, layer.why, made.launches);
  made.run = [forward, by_steps](const Launch& l) {
    forward.run_x(l);
    const kernels::RecurrentForward f = forward.arguments(l);
    if (by_steps) return forward.run_steps(l, f);
    kernels::recurrent_forward(gpu_of(l), forward.layer.shape(), f);
  };
  if (layer.library) return recurrent_forward_by_library(layer, std::move(made));
  return made;
}

void implement_recurrent() {
  register_op("recurrent", recurrent_forward);
  register_op("recurrent_backward", recurrent_backward);
}

}  // namespace gpunn::cuda
