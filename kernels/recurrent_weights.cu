#include <algorithm>

#include "kernels/embedding_body.hpp"
#include "kernels/epilogue.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/recurrent.hpp"

namespace gpunn::kernels {
namespace {

// Group 0: x, times its mask; group 1: the state before each step. Element k of line l is feature or unit l
// at place k; a matrix with fewer lines than the other ends in zeros.
struct OperandLoader {
  static constexpr bool kAcross = true;
  RecurrentInput in;
  const float* h_before;
  std::int64_t units;
  Divider steps;
  struct Line {
    const float* data;  // null: beyond the matrix
    const std::int32_t* ids;
    const float* mask;
    std::int64_t stride;
  };
  __device__ Line line(std::int64_t group, std::int64_t l) const {
    const std::int64_t lines = group == 0 ? in.width : units;
    if (l >= lines) return {nullptr, nullptr, nullptr, 0};
    if (group == 1) return {h_before + l, nullptr, nullptr, units};
    return {in.x + l, in.ids, in.mask == nullptr ? nullptr : in.mask + l, in.width};
  }
  __device__ float at(const Line& line, std::int64_t k) const {
    if (line.data == nullptr) return 0;
    const float value = line.ids == nullptr
                            ? line.data[k * line.stride]
                            : looked_up(line.data, in.vocabulary, line.stride, line.ids[k], 0);
    if (line.mask == nullptr) return value;
    return value * line.mask[steps.quotient(static_cast<std::uint32_t>(k)) * line.stride];
  }
};

struct GatesLoader {
  static constexpr bool kAcross = true;
  const float* dx_gates;
  const float* ds_gates;
  std::int64_t columns;
  __device__ const float* line(std::int64_t group, std::int64_t l) const {
    return (group == 0 ? dx_gates : ds_gates) + l;
  }
  __device__ float at(const float* line, std::int64_t k) const { return line[k * columns]; }
};

struct StoreGradients {
  static constexpr bool kColumnSums = true;
  RecurrentWeightGradients w;
  std::int64_t width, units, columns;
  bool two_biases;
  __device__ bool wants_sums() const { return w.dbias != nullptr; }
  __device__ void store(std::int64_t group, std::int64_t, std::int64_t row, std::int64_t column,
                        float sum) const {
    if (row >= (group == 0 ? width : units)) return;
    float& to = (group == 0 ? w.dkernel : w.drecurrent)[row * columns + column];
    to = (group == 0 ? w.kernel_mode : w.recurrent_mode) == Accumulate::add ? to + sum : sum;
  }
  __device__ void store_sum(std::int64_t group, std::int64_t, std::int64_t column, float sum) const {
    if (w.dbias == nullptr || (group == 1 && !two_biases)) return;
    finish(ColumnSums{w.dbias, w.bias_mode}, group * columns + column, sum);
  }
};

GemmSize size_of(const RecurrentShape& shape, std::int64_t width) {
  return {std::max(width, shape.units), recurrent_gates(shape.cell) * shape.units, shape.rows * shape.steps,
          2};
}

}  // namespace

std::int64_t recurrent_weights_scratch_floats(const RecurrentShape& shape, std::int64_t width) {
  const GemmSize size = size_of(shape, width);
  return gemm_scratch_floats(size.m, size.n, size.k, size.groups, true);
}

std::int64_t recurrent_weights_counters(const RecurrentShape& shape, std::int64_t width) {
  const GemmSize size = size_of(shape, width);
  return gemm_counters(size.m, size.n, size.k, size.groups);
}

void recurrent_weight_gradients(Gpu gpu, const RecurrentShape& shape, const RecurrentInput& in,
                                const RecurrentWeightGradients& w, float* scratch, std::uint32_t* counters) {
  const GemmSize size = size_of(shape, in.width);
  require(size.k < std::int64_t{1} << 31, "recurrent: more than 2^31 places");
  const Divider steps(std::max<std::int64_t>(shape.steps, 1));
  gemm_tiled(gpu, size, OperandLoader{in, w.h_before, shape.units, steps},
             GatesLoader{w.dx_gates, w.ds_gates, size.n},
             StoreGradients{w, in.width, shape.units, size.n, shape.cell == RecurrentCell::gru}, scratch,
             w.dbias != nullptr, counters);
}

}  // namespace gpunn::kernels
