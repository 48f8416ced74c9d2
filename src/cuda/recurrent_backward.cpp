// Back through a recurrent layer: the chain of steps, then the gradients of x and of the weights as products
// over all steps.

#include <array>

#include "kernels/transpose.hpp"
#include "src/cuda/inner_products.hpp"
#include "src/cuda/recurrent.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Accumulate;
using kernels::Layout;

enum Output : int { kDx, kDh0, kDc0, kDkernel, kDrecurrent, kDbias };

struct Backward {
  explicit Backward(RecurrentCall call) : layer(std::move(call)) {}

  RecurrentCall layer;
  bool by_steps = false, masked_operands = false, share_ds = false, h0 = false, c0 = false, dx = false;
  ScratchPart masked_x, kernel, recurrent, dx_gates, ds_gates, h_before, operands, dx_parts, dkernel,
      drecurrent;
  ScratchPart dh, dc, ds, back;  // of one step
  std::vector<std::size_t> s_products, x_products, weight_products;
  std::shared_ptr<const InnerProducts::Bound> products;

  kernels::RecurrentBackward arguments(const Launch& l) const;
  void run_steps(const Launch& l, const kernels::RecurrentBackward& b) const;
  void run(const Launch& l) const;
};

kernels::RecurrentBackward Backward::arguments(const Launch& l) const {
  kernels::RecurrentBackward b;
  b.recurrent = l.in(ops::kRecurrentWeights);
  b.h0 = l.in(ops::kRecurrentH0);
  b.c0 = l.in(ops::kRecurrentC0);
  b.mask = l.in<std::uint8_t>(ops::kRecurrentMask);
  const RecurrentCall::Kept kept = layer.kept_at(const_cast<float*>(l.in(ops::kRecurrentKept)));
  b.kept = kept.gates, b.cells = kept.cells;
  b.y = layer.attrs.sequence ? l.in(ops::kRecurrentSequence) : kept.y;
  b.dy = l.in(ops::kRecurrentDsequence);
  b.dh_last = l.in(ops::kRecurrentDh);
  b.dc_last = l.in(ops::kRecurrentDc);
  b.dx_gates = dx_gates.of(l);
  if (!share_ds) b.ds_gates = ds_gates.of(l);
  b.h_before = h_before.of(l);
  if (h0) b.dh0 = l.out(kDh0);
  if (c0) b.dc0 = l.out(kDc0);
  b.dh0_mode = accumulate_of(l, kDh0), b.dc0_mode = accumulate_of(l, kDc0);
  return b;
}

void Backward::run_steps(const Launch& l, const kernels::RecurrentBackward& b) const {
  const kernels::RecurrentSteps steps = layer.with_mask(l);
  if (steps.split_s) {
    kernels::transpose(gpu_of(l), std::array{layer.units(), layer.gates, layer.units()}, std::array{1, 0, 2},
                       Accumulate::overwrite, b.recurrent, recurrent.of(l));
  }
  const kernels::RecurrentFlow flow{dh.of(l), layer.lstm() ? dc.of(l) : nullptr, back.of(l), ds.of(l)};
  for (std::int64_t step = steps.shape.steps - 1; step >= 0; --step) {
    kernels::recurrent_step_backward(gpu_of(l), steps, step, b, flow);
    if (layer.resets_before()) {
      products->run(s_products[2], l);
      kernels::recurrent_step_reset_backward(gpu_of(l), steps, step, b, flow);
      products->run(s_products[0], l);
      products->run(s_products[1], l);
    } else {
      for (const std::size_t product : s_products) products->run(product, l);
    }
  }
  kernels::recurrent_steps_end(gpu_of(l), steps, b, flow);
}

void Backward::run(const Launch& l) const {
  const kernels::RecurrentBackward b = arguments(l);
  if (by_steps) {
    run_steps(l, b);
  } else {
    kernels::recurrent_backward(gpu_of(l), layer.shape(), b);
  }
  if (masked_operands) {
    kernels::recurrent_operands(gpu_of(l), layer.with_mask(l), static_cast<int>(layer.s_parts()), b.h_before,
                                b.kept, operands.of(l));
  }
  if (layer.input_masks > 0) {
    kernels::mask_features(gpu_of(l), layer.feature_masks(), l.in(ops::kRecurrentInputDropout),
                           l.in(ops::kRecurrentX), masked_x.of(l));
  }
  const std::array apart{1, 0, 2};
  if (layer.steps.split_x && dx) {
    kernels::transpose(gpu_of(l), std::array{layer.input, layer.gates, layer.units()}, apart,
                       Accumulate::overwrite, l.in(ops::kRecurrentKernel), kernel.of(l));
  }
  for (const std::size_t product : x_products) products->run(product, l);
  for (const std::size_t product : weight_products) products->run(product, l);
  if (dx && layer.input_masks > 0) {
    kernels::mask_features_backward(gpu_of(l), layer.feature_masks(), accumulate_of(l, kDx),
                                    l.in(ops::kRecurrentInputDropout), dx_parts.of(l), l.out(kDx));
  }
  if (layer.steps.split_x) {
    kernels::transpose(gpu_of(l), std::array{layer.gates, layer.input, layer.units()}, apart,
                       accumulate_of(l, kDkernel), dkernel.of(l), l.out(kDkernel));
  }
  if (layer.steps.split_s) {
    kernels::transpose(gpu_of(l), std::array{layer.gates, layer.units(), layer.units()}, apart,
                       accumulate_of(l, kDrecurrent), drecurrent.of(l), l.out(kDrecurrent));
  }
}

// ds U^T of one step.
void add_s_products(Backward& backward, InnerProducts& inner) {
  const RecurrentCall& layer = backward.layer;
  const std::int64_t rows = layer.shape().rows, units = layer.units(), parts = layer.s_parts(),
                     width = units * layer.gates / parts;
  for (std::int64_t part = 0; part < parts; ++part) {
    InnerProduct product;
    product.times = static_cast<int>(layer.shape().steps);
    product.gemm.shape = {Layout::nt, rows, units, width};
    product.operands = [=, split = layer.steps.split_s, ds = backward.ds, back = backward.back,
                        recurrent = backward.recurrent](const Launch& l) {
      return LtPointers{ds.of(l) + part * rows * width,
                        split ? recurrent.of(l) + part * units * width : l.in(ops::kRecurrentWeights),
                        back.of(l) + part * rows * units};
    };
    backward.s_products.push_back(inner.add(std::move(product)));
  }
}

void add_x_products(const OpCall& call, Backward& backward, InnerProducts& inner) {
  const RecurrentCall& layer = backward.layer;
  const std::int64_t places = layer.places(), input = layer.input, parts = layer.x_parts(),
                     width = layer.units() * layer.gates / parts;
  const bool masked = layer.input_masks > 0, split = layer.steps.split_x;
  for (std::int64_t part = 0; part < parts; ++part) {
    InnerProduct product;
    product.gemm.shape = {Layout::nt, places, input, width};
    product.gemm.mode = masked ? Accumulate::overwrite : accumulate_of(call, kDx);
    product.operands = [=, gates = backward.dx_gates, kernel = backward.kernel,
                        dx = backward.dx_parts](const Launch& l) {
      return LtPointers{gates.of(l) + part * places * width,
                        split ? kernel.of(l) + part * input * width : l.in(ops::kRecurrentKernel),
                        masked ? dx.of(l) + part * places * input : l.out(kDx)};
    };
    backward.x_products.push_back(inner.add(std::move(product)));
  }
}

// What the gradients of the two matrices and of their biases have in common: operand^T gates.
struct WeightGradient {
  std::int64_t parts, rows, width;  // of each part
  bool split, sums;
  Output output;
  std::int64_t bias_offset;
  std::function<const float*(const Launch&)> operand, gates;
  ScratchPart split_output;
};

void add_weight_products(const OpCall& call, Backward& backward, InnerProducts& inner,
                         const WeightGradient& w) {
  const std::int64_t places = backward.layer.places();
  const bool one_operand = !w.split;
  for (std::int64_t part = 0; part < w.parts; ++part) {
    InnerProduct product;
    product.gemm.shape = {Layout::tn, w.rows, w.width, places};
    product.gemm.mode = w.split ? Accumulate::overwrite : accumulate_of(call, w.output);
    product.sums = w.sums;
    product.bias_offset = w.bias_offset + part * w.width;
    product.sums_mode = accumulate_of(call, kDbias);
    product.operands = [=](const Launch& l) {
      return LtPointers{w.operand(l) + (one_operand ? 0 : part * places * w.rows),
                        w.gates(l) + part * places * w.width,
                        w.split ? w.split_output.of(l) + part * w.rows * w.width : l.out(w.output),
                        w.sums ? l.out(kDbias) + w.bias_offset + part * w.width : nullptr};
    };
    backward.weight_products.push_back(inner.add(std::move(product)));
  }
}

void add_weight_products(const OpCall& call, Backward& backward, InnerProducts& inner) {
  const RecurrentCall& layer = backward.layer;
  const std::int64_t all = layer.units() * layer.gates;
  const auto of_scratch = [](ScratchPart part) {
    return [part](const Launch& l) -> const float* { return part.of(l); };
  };
  std::function<const float*(const Launch&)> x = [](const Launch& l) { return l.in(ops::kRecurrentX); };
  if (layer.input_masks > 0) x = of_scratch(backward.masked_x);
  add_weight_products(call, backward, inner,
                      {layer.x_parts(), layer.input, all / layer.x_parts(), layer.steps.split_x, layer.bias,
                       kDkernel, 0, x, of_scratch(backward.dx_gates), backward.dkernel});
  add_weight_products(
      call, backward, inner,
      {layer.s_parts(), layer.units(), all / layer.s_parts(), layer.steps.split_s, layer.two_biases(),
       kDrecurrent, all, of_scratch(backward.masked_operands ? backward.operands : backward.h_before),
       of_scratch(backward.share_ds ? backward.dx_gates : backward.ds_gates), backward.drecurrent});
}

void add_buffers(Backward& backward, InnerProducts& inner) {
  const RecurrentCall& layer = backward.layer;
  const std::int64_t states = layer.shape().rows * layer.units(), sequence = layer.places() * layer.units();
  const std::int64_t matrix = layer.gates * layer.units();
  backward.dx_gates = inner.buffer(layer.gates * sequence);
  if (!backward.share_ds) backward.ds_gates = inner.buffer(layer.gates * sequence);
  backward.h_before = inner.buffer(sequence);
  if (backward.masked_operands) backward.operands = inner.buffer(layer.s_parts() * sequence);
  if (layer.input_masks > 0 && !layer.takes_input) {
    backward.masked_x = inner.buffer(layer.input_masks * layer.places() * layer.input);
    if (backward.dx) backward.dx_parts = inner.buffer(layer.input_masks * layer.places() * layer.input);
  }
  if (layer.steps.split_x) {
    backward.kernel = inner.buffer(layer.input * matrix);
    backward.dkernel = inner.buffer(layer.input * matrix);
  }
  if (layer.steps.split_s) {
    backward.recurrent = inner.buffer(layer.units() * matrix);
    backward.drecurrent = inner.buffer(layer.units() * matrix);
  }
  if (!backward.by_steps) return;
  backward.dh = inner.buffer(states);
  if (layer.lstm()) backward.dc = inner.buffer(states);
  backward.ds = inner.buffer(layer.gates * states);
  backward.back = inner.buffer(layer.s_parts() * states);
}

int count_launches(const Backward& backward, const InnerProducts& inner) {
  const RecurrentCall& layer = backward.layer;
  const auto sum = [&](const std::vector<std::size_t>& products) {
    int launches = 0;
    for (const std::size_t product : products) launches += inner.launches(product);
    return launches;
  };
  int launches =
      sum(backward.x_products) + sum(backward.weight_products) + (backward.masked_operands ? 1 : 0);
  if (layer.input_masks > 0) launches += backward.dx ? 2 : 1;
  if (layer.steps.split_x) launches += backward.dx ? 2 : 1;
  if (layer.steps.split_s) launches += 2;
  if (!backward.by_steps) return launches + 1;
  const int each = 1 + sum(backward.s_products) + (layer.resets_before() ? 1 : 0);
  return launches + each * static_cast<int>(layer.shape().steps) + (backward.h0 || backward.c0 ? 1 : 0);
}

// The chain with the input's product in it, then both gradients of weights together.
Implementation with_input(Backward backward, const Target& target) {
  const RecurrentCall& layer = backward.layer;
  InnerProducts inner(target);
  add_buffers(backward, inner);
  const std::int64_t floats = kernels::recurrent_weights_scratch_floats(layer.shape(), layer.input);
  const ScratchPart partial = inner.buffer(floats);
  const std::int64_t count = kernels::recurrent_weights_counters(layer.shape(), layer.input);
  const ScratchPart counters = inner.buffer(count);  // 32 bits each
  Implementation made;
  made.name = "whole sequence", made.why = layer.why;
  made.scratch = inner.scratch();
  made.launches = 2;
  made.run = [backward, partial, counters, count](const Launch& l) {
    const RecurrentCall& layer = backward.layer;
    kernels::RecurrentBackward b = backward.arguments(l);
    b.counters = reinterpret_cast<std::uint32_t*>(counters.of(l)), b.counter_count = count;
    kernels::RecurrentInput in = layer.input_of(l);
    if (backward.dx) in.dx = l.out(kDx);
    in.dx_mode = accumulate_of(l, kDx);
    kernels::recurrent_backward(gpu_of(l), layer.shape(), b, &in);
    kernels::RecurrentWeightGradients w{b.dx_gates, backward.share_ds ? b.dx_gates : b.ds_gates, b.h_before};
    w.dkernel = l.out(kDkernel), w.drecurrent = l.out(kDrecurrent);
    if (layer.bias) w.dbias = l.out(kDbias);
    w.kernel_mode = accumulate_of(l, kDkernel), w.recurrent_mode = accumulate_of(l, kDrecurrent);
    w.bias_mode = accumulate_of(l, kDbias);
    kernels::recurrent_weight_gradients(gpu_of(l), layer.shape(), in, w, partial.of(l), b.counters);
  };
  return made;
}

}  // namespace

Implementation recurrent_backward(const OpCall& call, const Target& target) {
  Backward backward{RecurrentCall(call, target)};
  const RecurrentCall& layer = backward.layer;
  backward.by_steps = !layer.why_steps.empty();
  backward.masked_operands = layer.steps.state_masks > 0 || layer.resets_before();
  // The gradients of both sums are the same, unless r is multiplied in or they are ordered apart.
  backward.share_ds = layer.attrs.cell != ops::RecurrentCell::gru && !layer.attrs.reversed &&
                      !layer.steps.split_x && !layer.steps.split_s;
  backward.h0 = ops::has(call, ops::kRecurrentH0), backward.c0 = ops::has(call, ops::kRecurrentC0);
  backward.dx = layer.attrs.input_gradient;
  if (layer.takes_input) return with_input(std::move(backward), target);
  InnerProducts inner(target);
  add_buffers(backward, inner);
  if (backward.by_steps) add_s_products(backward, inner);
  if (backward.dx) add_x_products(call, backward, inner);
  add_weight_products(call, backward, inner);
  backward.products = inner.bound();

  Implementation made;
  made.name = backward.by_steps ? "per step" : "whole sequence";
  made.why = layer.why + "; products by " + inner.engines();
  made.scratch = inner.scratch();
  made.launches = count_launches(backward, inner);
  made.prepare = InnerProducts::prepare(backward.products, layer.why, made.launches);
  made.run = [backward](const Launch& l) { backward.run(l); };
  if (layer.library) return recurrent_backward_by_library(layer, call, std::move(made));
  return made;
}

}  // namespace gpunn::cuda
