#include "src/ops/dense.hpp"

#include "kernels/gemm.hpp"
#include "kernels/reduce.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/matrix.hpp"
#include "src/cuda/product.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Activation;

Product product_of(const Target& target, kernels::Layout layout, std::int64_t m, std::int64_t n,
                   std::int64_t k, bool sums = false) {
  Product product;
  product.gemm.shape = {layout, m, n, k};
  product.gemm.tf32 = target.tf32;
  product.pointers = [](const Launch& l) { return LtPointers{l.in(0), l.in(1), l.out(0)}; };
  product.own_scratch =
      static_cast<std::size_t>(kernels::gemm_scratch_floats(m, n, k, 1, sums)) * sizeof(float);
  product.own_launches = product.own_scratch > 0 ? 2 : 1;
  product.why_own = why_own_gemm(target, product.gemm.shape);
  return product;
}

void own_gemm(const Launch& l, const kernels::Gemm& shape, const kernels::Epilogue& epilogue,
              const kernels::ColumnSums& sums = {}) {
  kernels::gemm(gpu_of(l), shape, l.in(0), l.in(1), epilogue, l.out(0), static_cast<float*>(l.scratch), sums);
}

// What the library cannot do in the same launch: one more behind it where the product is large, else our
// kernel.
void follow_with(Product& product, const char* what, std::function<void(const Launch&)> after) {
  if (flops(product.gemm.shape) < kLaunchFlops) {
    if (product.why_own.empty()) product.why_own = std::string(what) + " in the same launch";
    return;
  }
  product.after = std::move(after);
  product.after_launches = 1;
}

Implementation forward(const OpCall& call, const Target& target) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape);
  Product product = product_of(target, kernels::Layout::nn, x.rows, call.outputs[0].shape[-1], x.columns);
  const auto activation = kernel_kind(call.attrs_as<ops::DenseAttrs>().activation);
  const kernels::Gemm shape = product.gemm.shape;
  product.gemm.bias = ops::has(call, 2);
  product.gemm.relu = activation == Activation::relu;
  product.pointers = [](const Launch& l) {
    return LtPointers{l.in(0), l.in(1), l.out(0), const_cast<float*>(l.in(2))};
  };
  product.own = [=](const Launch& l) { own_gemm(l, shape, {.bias = l.in(2), .activation = activation}); };
  if (activation != Activation::linear && activation != Activation::relu) {
    // The library's gelu is the approximation by tanh; ours, as Keras's, is not.
    follow_with(product, "the activation", [=](const Launch& l) {
      kernels::activation_forward(gpu_of(l), activation, shape.m * shape.n, l.out(0), l.out(0));
    });
  }
  return implement_product(target, std::move(product));
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const kernels::Matrix dz = matrix_of(call.inputs[0].shape);
  Product product = product_of(target, kernels::Layout::nt, dz.rows, call.outputs[0].shape[-1], dz.columns);
  const auto slope = kernel_kind(call.attrs_as<ops::DenseBackwardDataAttrs>().slope);
  const auto mode = accumulate_of(call, 0);
  const kernels::Gemm shape = product.gemm.shape;
  product.gemm.mode = mode;
  product.own = [=](const Launch& l) {
    own_gemm(l, shape, {.y_before = l.in(2), .slope = slope, .mode = mode});
  };
  if (ops::has(call, 2) && mode == kernels::Accumulate::add) {
    if (product.why_own.empty()) product.why_own = "a slope before a sum";
  } else if (ops::has(call, 2)) {
    follow_with(product, "the slope", [=](const Launch& l) {
      kernels::activation_backward(gpu_of(l), slope, kernels::Accumulate::overwrite, shape.m * shape.n,
                                   l.in(2), l.out(0), l.out(0));
    });
  }
  return implement_product(target, std::move(product));
}

Implementation backward_weights(const OpCall& call, const Target& target) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape), dz = matrix_of(call.inputs[1].shape);
  const bool bias = call.attrs_as<ops::DenseBackwardWeightsAttrs>().bias;
  Product product = product_of(target, kernels::Layout::tn, x.columns, dz.columns, x.rows, bias);
  const auto mode = accumulate_of(call, 0), bias_mode = accumulate_of(call, 1);
  const kernels::Gemm shape = product.gemm.shape;
  const auto rows = kernels::over_rows(dz.rows, dz.columns);
  const auto sum_scratch = static_cast<std::size_t>(kernels::reduce_scratch_floats(rows)) * sizeof(float);
  const int sum_launches = sum_scratch > 0 ? 2 : 1;
  const auto sum = [=](const Launch& l) {
    kernels::reduce_sum(gpu_of(l), rows, bias_mode, 1.0f, l.in(1), l.out(1), static_cast<float*>(l.scratch));
  };
  product.gemm.mode = mode;
  product.own = [=](const Launch& l) {
    kernels::ColumnSums sums;
    if (bias) sums = {l.out(1), bias_mode};
    own_gemm(l, shape, {.mode = mode}, sums);
  };
  if (!bias) return implement_product(target, std::move(product));
  // In one launch where launches count; large ones are known to be slower with it. It overwrites.
  if (flops(shape) < kLaunchFlops && bias_mode == kernels::Accumulate::overwrite) {
    product.gemm.bias_gradient = true;
    product.pointers = [](const Launch& l) { return LtPointers{l.in(0), l.in(1), l.out(0), l.out(1)}; };
  } else {
    product.after = sum;
    product.after_launches = sum_launches;
    product.after_scratch = sum_scratch;
  }
  return implement_product(target, std::move(product));
}

}  // namespace

void implement_dense() {
  register_op("dense", forward);
  register_op("dense_backward_data", backward_data);
  register_op("dense_backward_weights", backward_weights);
}

}  // namespace gpunn::cuda
