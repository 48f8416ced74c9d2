#include "src/ops/batch_norm.hpp"

#include "kernels/batch_norm.hpp"
#include "src/cuda/matrix.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/common.hpp"

namespace gpunn::cuda {
namespace {

std::size_t sum_scratch(kernels::Matrix x) {
  return static_cast<std::size_t>(kernels::reduce_scratch_floats(kernels::over_rows(x.rows, x.columns))) *
         sizeof(float);
}

int sum_launches(kernels::Matrix x) {
  return sum_scratch(x) > 0 ? 2 : 1;
}

kernels::BatchNormStatistics statistics(const Launch& l, int mean, float epsilon) {
  return {l.in(mean), l.in(mean + 1), epsilon};
}

static_assert(kernels::kMaskedCountFloor == ops::kMaskedCountFloor);

// Inputs `mask` and the next, where they are given.
struct Real {
  Real(const OpCall& call, int mask) : mask(mask), given(ops::has(call, static_cast<std::size_t>(mask))) {
    const Shape& x = call.inputs[0].shape;
    if (given) rows_per_step = ops::row_elements(x.with(-1, 1)) / std::max<std::int64_t>(x[1], 1);
  }
  kernels::RealRows rows(const Launch& l) const {
    if (!given) return {};
    return {l.in<std::uint8_t>(mask), l.in(mask + 1), rows_per_step};
  }
  int mask;
  bool given;
  std::int64_t rows_per_step = 1;
};

Implementation mean(const OpCall& call, const Target&) {
  const auto x = matrix_of(call.inputs[0].shape);
  return own_kernel(
      [=, real = Real(call, 1)](const Launch& l) {
        kernels::batch_norm_mean(gpu_of(l), x, real.rows(l), l.in(0), l.out(0),
                                 static_cast<float*>(l.scratch));
      },
      sum_launches(x), sum_scratch(x));
}

Implementation variance(const OpCall& call, const Target&) {
  const auto x = matrix_of(call.inputs[0].shape);
  return own_kernel(
      [=, real = Real(call, 2)](const Launch& l) {
        kernels::batch_norm_variance(gpu_of(l), x, real.rows(l), l.in(0), l.in(1), l.out(0),
                                     static_cast<float*>(l.scratch));
      },
      sum_launches(x), sum_scratch(x));
}

Implementation forward(const OpCall& call, const Target&) {
  const auto x = matrix_of(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  return own_kernel([=](const Launch& l) {
    kernels::batch_norm_forward(gpu_of(l), x, statistics(l, 1, epsilon), l.in(3), l.in(4), l.in(0), l.out(0));
  });
}

Implementation backward_sums(const OpCall& call, const Target&) {
  const auto x = matrix_of(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  return own_kernel(
      [=](const Launch& l) {
        kernels::batch_norm_backward_sums(gpu_of(l), x, statistics(l, 2, epsilon), l.in(0), l.in(1), l.out(0),
                                          l.out(1), static_cast<float*>(l.scratch));
      },
      2 * sum_launches(x), sum_scratch(x));
}

Implementation backward(const OpCall& call, const Target&) {
  const auto x = matrix_of(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  return own_kernel([=, real = Real(call, 7)](const Launch& l) {
    kernels::batch_norm_backward(gpu_of(l), x, real.rows(l), accumulate_of(l, 0), statistics(l, 2, epsilon),
                                 l.in(4), l.in(0), l.in(1), l.in(5), l.in(6), l.out(0));
  });
}

Implementation update(const OpCall& call, const Target&) {
  const std::int64_t channels = call.inputs[0].shape.elements();
  const float momentum = call.attrs_as<ops::BatchNormUpdateAttrs>().momentum;
  return own_kernel([=](const Launch& l) {
    kernels::batch_norm_update(gpu_of(l), channels, momentum, l.in(2), l.in(3), l.mutated(0), l.mutated(1));
  });
}

}  // namespace

void implement_batch_norm() {
  register_op("batch_norm_mean", mean);
  register_op("batch_norm_variance", variance);
  register_op("batch_norm", forward);
  register_op("batch_norm_backward_sums", backward_sums);
  register_op("batch_norm_backward", backward);
  register_op("batch_norm_update", update);
}

}  // namespace gpunn::cuda
