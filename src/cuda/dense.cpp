#include "src/ops/dense.hpp"

#include "kernels/gemm.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/bias_gradient.hpp"
#include "src/cuda/matrix.hpp"
#include "src/cuda/product.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Accumulate;
using kernels::Activation;

void own_gemm(const Launch& l, const kernels::Gemm& shape, const kernels::Epilogue& epilogue,
              const kernels::ColumnSums& sums = {}) {
  kernels::gemm(gpu_of(l), shape, l.in(0), l.in(1), epilogue, l.out(0), static_cast<float*>(l.scratch), sums);
}

Implementation forward(const OpCall& call, const Target& target) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape);
  const kernels::Gemm shape{kernels::Layout::nn, x.rows, call.outputs[0].shape[-1], x.columns};
  const auto activation = kernel_kind(call.attrs_as<ops::DenseAttrs>().activation);
  Product product = product_of(target, shape);
  product.gemm.bias = ops::has(call, 2);
  product.gemm.relu = activation == Activation::relu;
  product.pointers = [](const Launch& l) {
    return LtPointers{l.in(0), l.in(1), l.out(0), const_cast<float*>(l.in(2))};
  };
  product.own.run = [=](const Launch& l) { own_gemm(l, shape, {.bias = l.in(2), .activation = activation}); };
  if (activation != Activation::linear && activation != Activation::relu) {
    // The library's gelu is the approximation by tanh; ours, as Keras's, is not.
    const auto activate = [=](const Launch& l) {
      kernels::activation_forward(gpu_of(l), activation, shape.m * shape.n, l.out(0), l.out(0));
    };
    follow_with(flops(shape), "the activation", {activate, 1, 0}, product.after, product.own);
  }
  return implement_product(target, std::move(product));
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const kernels::Matrix dz = matrix_of(call.inputs[0].shape);
  const kernels::Gemm shape{kernels::Layout::nt, dz.rows, call.outputs[0].shape[-1], dz.columns};
  const auto slope = kernel_kind(call.attrs_as<ops::DenseBackwardDataAttrs>().slope);
  const auto mode = accumulate_of(call, 0);
  Product product = product_of(target, shape);
  product.gemm.mode = mode;
  product.own.run = [=](const Launch& l) {
    own_gemm(l, shape, {.y_before = l.in(2), .slope = slope, .mode = mode});
  };
  if (ops::has(call, 2) && mode == Accumulate::add) {
    if (product.own.why.empty()) product.own.why = "a slope before a sum";
  } else if (ops::has(call, 2)) {
    const auto multiply = [=](const Launch& l) {
      kernels::activation_backward(gpu_of(l), slope, Accumulate::overwrite, shape.m * shape.n, l.in(2),
                                   l.out(0), l.out(0));
    };
    follow_with(flops(shape), "the slope", {multiply, 1, 0}, product.after, product.own);
  }
  return implement_product(target, std::move(product));
}

Implementation backward_weights(const OpCall& call, const Target& target) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape), dz = matrix_of(call.inputs[1].shape);
  const kernels::Gemm shape{kernels::Layout::tn, x.columns, dz.columns, x.rows};
  const bool bias = call.attrs_as<ops::DenseBackwardWeightsAttrs>().bias;
  const auto mode = accumulate_of(call, 0), bias_mode = accumulate_of(call, 1);
  Product product = product_of(target, shape, bias);
  product.gemm.mode = mode;
  product.own.run = [=](const Launch& l) {
    kernels::ColumnSums sums;
    if (bias) sums = {l.out(1), bias_mode};
    own_gemm(l, shape, {.mode = mode}, sums);
  };
  // In one launch where launches count; large ones are known to be slower with it. It overwrites.
  if (bias && flops(shape) < kLaunchFlops && bias_mode == Accumulate::overwrite) {
    product.gemm.bias_gradient = true;
    product.pointers = [](const Launch& l) { return LtPointers{l.in(0), l.in(1), l.out(0), l.out(1)}; };
  } else if (bias) {
    follow_with(flops(shape), "the sum of bias gradients", bias_gradient(dz, bias_mode), product.after,
                product.own);
  }
  return implement_product(target, std::move(product));
}

Implementation backward(const OpCall& call, const Target&) {
  const kernels::Matrix dz = matrix_of(call.inputs[0].shape);
  const auto& attrs = call.attrs_as<ops::DenseBackwardAttrs>();
  kernels::GemmGradients g;
  g.rows = dz.rows, g.in = call.inputs[1].shape[0], g.out = dz.columns;
  g.dx_epilogue.slope = kernel_kind(attrs.slope), g.dx_epilogue.mode = accumulate_of(call, 0);
  g.dw_mode = accumulate_of(call, 1), g.sums.mode = accumulate_of(call, 2);
  const bool pair = kernels::gradients_pair(g.rows, g.in, g.out);
  Implementation made;
  made.name = "own gemm", made.why = "dx and dW are small: one launch";
  made.launches = pair ? 1 : 2;
  made.scratch =
      static_cast<std::size_t>(kernels::gemm_gradients_scratch_floats(g.rows, g.in, g.out)) * sizeof(float);
  made.run = [g, bias = attrs.bias, slope = attrs.slope != ops::Activation::linear](const Launch& l) {
    kernels::GemmGradients now = g;
    now.dz = l.in(0), now.w = l.in(1), now.x = l.in(2);
    now.dx = l.out(0), now.dw = l.out(1);
    if (bias) now.sums.y = l.out(2);
    if (slope) now.dx_epilogue.y_before = l.in(2);
    kernels::gemm_gradients(gpu_of(l), now, static_cast<float*>(l.scratch));
  };
  return made;
}

}  // namespace

void implement_dense() {
  register_op("dense", forward);
  register_op("dense_backward_data", backward_data);
  register_op("dense_backward_weights", backward_weights);
  register_op("dense_backward", backward);
}

}  // namespace gpunn::cuda
