#include "kernels/softmax.hpp"

#include <cmath>

#include "kernels/rows.cuh"

namespace gpunn::kernels {
namespace {

// expf, not __expf: the latter's error grows with the argument and would show in the losses.
struct Forward {
  std::int64_t columns;
  const float* x;
  float* y;
  template <int kGroup>
  __device__ void operator()(const RowGroup<kGroup>& group, std::int64_t row) const {
    const float* in = x + row * columns;
    float* out = y + row * columns;
    float highest = -INFINITY;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) highest = fmaxf(highest, in[c]);
    highest = group.reduce(highest, Max{});
    float sum = 0;  // a NaN that fmaxf passed over comes back here
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) sum += expf(in[c] - highest);
    sum = group.reduce(sum, Sum{});
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) out[c] = expf(in[c] - highest) / sum;
  }
};

template <Accumulate mode>
struct Backward {
  std::int64_t columns;
  const float* y;
  const float* dy;
  float* dx;
  template <int kGroup>
  __device__ void operator()(const RowGroup<kGroup>& group, std::int64_t row) const {
    const float* out = y + row * columns;
    const float* flow = dy + row * columns;
    float* back = dx + row * columns;
    float sum = 0;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) sum += out[c] * flow[c];
    sum = group.reduce(sum, Sum{});
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
      const float d = out[c] * (flow[c] - sum);
      back[c] = mode == Accumulate::add ? back[c] + d : d;
    }
  }
};

}  // namespace

void softmax_forward(Gpu gpu, Matrix shape, const float* x, float* y) {
  if (shape.columns == 0) return;
  for_each_row(gpu, shape.rows, shape.columns, Forward{shape.columns, x, y});
}

void softmax_backward(Gpu gpu, Matrix shape, Accumulate mode, const float* y, const float* dy, float* dx) {
  if (shape.columns == 0) return;
  with_mode(mode, [&](auto m) {
    for_each_row(gpu, shape.rows, shape.columns, Backward<m()>{shape.columns, y, dy, dx});
  });
}

}  // namespace gpunn::kernels
