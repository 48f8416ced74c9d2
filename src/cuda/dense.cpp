#include "src/ops/dense.hpp"

#include "kernels/gemm.hpp"
#include "kernels/reduce.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/matrix.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

struct Product {
  kernels::Gemm gemm;
  std::size_t scratch = 0;

  Product(kernels::Layout layout, std::int64_t m, std::int64_t n, std::int64_t k) : gemm{layout, m, n, k} {
    scratch = static_cast<std::size_t>(kernels::gemm_scratch_floats(m, n, k)) * sizeof(float);
  }
  void operator()(const Launch& l, const float* a, const float* b, const kernels::Epilogue& epilogue,
                  float* y) const {
    kernels::gemm(gpu_of(l), gemm, a, b, epilogue, y, static_cast<float*>(l.scratch));
  }
};

Implementation own_gemm(std::function<void(const Launch&)> run, const Product& product,
                        int extra_launches = 0, std::size_t extra_scratch = 0) {
  Implementation made = own_kernel(std::move(run), (product.scratch > 0 ? 2 : 1) + extra_launches,
                                   std::max(product.scratch, extra_scratch));
  made.name = "own gemm";
  made.why = "fused epilogue, fixed order of sums";
  return made;
}

Implementation forward(const OpCall& call, const Target&) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape);
  const Product product(kernels::Layout::nn, x.rows, call.outputs[0].shape[-1], x.columns);
  const auto activation = kernel_kind(call.attrs_as<ops::DenseAttrs>().activation);
  return own_gemm(
      [=](const Launch& l) {
        kernels::Epilogue epilogue;
        epilogue.bias = l.in(2);
        epilogue.activation = activation;
        product(l, l.in(0), l.in(1), epilogue, l.out(0));
      },
      product);
}

Implementation backward_data(const OpCall& call, const Target&) {
  const kernels::Matrix dz = matrix_of(call.inputs[0].shape);
  const Product product(kernels::Layout::nt, dz.rows, call.outputs[0].shape[-1], dz.columns);
  const auto slope = kernel_kind(call.attrs_as<ops::DenseBackwardDataAttrs>().slope);
  return own_gemm(
      [=](const Launch& l) {
        kernels::Epilogue epilogue;
        epilogue.y_before = l.in(2);
        epilogue.slope = slope;
        epilogue.mode = accumulate_of(l, 0);
        product(l, l.in(0), l.in(1), epilogue, l.out(0));
      },
      product);
}

Implementation backward_weights(const OpCall& call, const Target&) {
  const kernels::Matrix x = matrix_of(call.inputs[0].shape), dz = matrix_of(call.inputs[1].shape);
  const Product product(kernels::Layout::tn, x.columns, dz.columns, x.rows);
  const bool bias = call.attrs_as<ops::DenseBackwardWeightsAttrs>().bias;
  const auto rows = kernels::over_rows(dz.rows, dz.columns);
  const auto sum_scratch = static_cast<std::size_t>(kernels::reduce_scratch_floats(rows)) * sizeof(float);
  return own_gemm(
      [=](const Launch& l) {
        kernels::Epilogue epilogue;
        epilogue.mode = accumulate_of(l, 0);
        product(l, l.in(0), l.in(1), epilogue, l.out(0));
        if (!bias) return;
        kernels::reduce_sum(gpu_of(l), rows, accumulate_of(l, 1), 1.0f, l.in(1), l.out(1),
                            static_cast<float*>(l.scratch));
      },
      product, bias ? (sum_scratch > 0 ? 2 : 1) : 0, bias ? sum_scratch : 0);
}

}  // namespace

void implement_dense() {
  register_op("dense", forward);
  register_op("dense_backward_data", backward_data);
  register_op("dense_backward_weights", backward_weights);
}

}  // namespace gpunn::cuda
