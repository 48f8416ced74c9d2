#include "src/ops/dense.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "simd gemm";

// Vectors of features in one row of the batch: 1, or the extents between.
std::int64_t vectors_per_row(const Shape& x) {
  return ops::row_elements(x.with(-1, 1));
}

Implementation forward(const OpCall& call, const Target&) {
  const std::int64_t vectors = vectors_per_row(call.inputs[0].shape);
  const std::int64_t in = call.inputs[1].shape[0], out = call.inputs[1].shape[1];
  const auto activation = to_simd(call.attrs_as<ops::DenseAttrs>().activation);
  const bool bias = ops::has(call, 2);
  return sliced(kName, "bias and activation in its epilogue", [=](const Slice& s) {
    simd::kernels().dense.nn({.m = s.rows * vectors,
                              .n = out,
                              .k = in,
                              .a = s.in(0),
                              .lda = in,
                              .b = s.in(1),
                              .ldb = out,
                              .c = s.out(0),
                              .ldc = out,
                              .bias = bias ? s.in(2) : nullptr,
                              .activation = activation});
  });
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const std::int64_t vectors = vectors_per_row(call.inputs[0].shape);
  const std::int64_t in = call.inputs[1].shape[0], out = call.inputs[1].shape[1];
  const auto slope = to_simd(call.attrs_as<ops::DenseBackwardDataAttrs>().slope);
  // The kernel's epilogue replaces what it adds onto: then the product goes through scratch.
  const bool sum_apart = slope != simd::Activation::linear && (call.accumulates & 1u) != 0;
  const auto run = [=](const Slice& s) {
    simd::Gemm gemm{.m = s.rows * vectors,
                    .n = in,
                    .k = out,
                    .a = s.in(0),
                    .lda = out,
                    .b = s.in(1),
                    .ldb = out,
                    .c = s.out(0),
                    .ldc = in,
                    .add = s.add(0)};
    if (slope != simd::Activation::linear) gemm.slope_of = slope, gemm.kept = s.in(2), gemm.ldkept = in;
    if (!sum_apart || !s.add(0)) return simd::kernels().dense.nt(gemm);
    gemm.add = false, gemm.c = static_cast<float*>(s.scratch);
    simd::kernels().dense.nt(gemm);
    simd::kernels().elementwise.axpy(gemm.m * in, 1.0f, gemm.c, s.out(0));
  };
  return sliced(kName, slope != simd::Activation::linear ? "slope in its epilogue" : "", run,
                sum_apart ? floats(target.slice_rows * vectors * in) : 0);
}

// dW[begin, begin + rows) of the batch that the slice holds.
void weights_product(const Slice& s, std::int64_t vectors, std::int64_t in, std::int64_t out,
                     std::int64_t begin, std::int64_t rows) {
  simd::kernels().dense.tn({.m = rows,
                            .n = out,
                            .k = s.rows * vectors,
                            .a = s.in(0) + begin,
                            .lda = in,
                            .b = s.in(1),
                            .ldb = out,
                            .c = s.out(0) + begin * out,
                            .ldc = out,
                            .add = s.add(0)});
}

// Above this a slice's own copy of dW falls out of the nearest caches, and writing and summing the copies
// costs more than the product. Then the rows of dW are shared out instead, each task over the whole batch.
constexpr std::size_t kLargeWeights = 128 * 1024;
constexpr double kTaskFlops = 2.5e5;    // a microsecond or two
constexpr std::int64_t kTaskRows = 16;  // whole register tiles

Implementation backward_weights(const OpCall& call, const Target&) {
  const Shape& x = call.inputs[0].shape;
  const std::int64_t vectors = vectors_per_row(x), in = x[-1], out = call.inputs[1].shape[-1];
  const bool bias = call.attrs_as<ops::DenseBackwardWeightsAttrs>().bias;
  const auto bias_sums = [=](const Slice& s) {
    if (bias) simd::kernels().dense.column_sums(s.rows * vectors, out, s.in(1), out, s.out(1), s.add(1));
  };
  if (floats(in * out) <= kLargeWeights) {
    return sliced(kName, "small weights: each slice sums its rows", [=](const Slice& s) {
      weights_product(s, vectors, in, out, 0, in);
      bias_sums(s);
    });
  }
  const double row_flops = 2.0 * static_cast<double>(x[0] * vectors) * static_cast<double>(out);
  const auto wanted = static_cast<std::int64_t>(kTaskFlops / std::max(row_flops, 1.0));
  const std::int64_t rows = std::clamp<std::int64_t>(wanted / kTaskRows * kTaskRows, kTaskRows, in);
  const auto tasks = static_cast<int>((in + rows - 1) / rows);
  return whole(kName, "large weights: their rows are shared out", tasks, [=](const Slice& s) {
    const std::int64_t begin = s.task * rows;
    weights_product(s, vectors, in, out, begin, std::min(rows, in - begin));
    if (s.task == 0) bias_sums(s);
  });
}

}  // namespace

void implement_dense(Registry& registry) {
  registry.add("dense", forward);
  registry.add("dense_backward_data", backward_data);
  registry.add("dense_backward_weights", backward_weights);
}

}  // namespace gpunn::cpu
