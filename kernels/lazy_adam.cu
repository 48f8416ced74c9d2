#include "kernels/lazy_adam.hpp"

#include <algorithm>
#include <climits>
#include <cmath>

#include "kernels/launch.cuh"
#include "kernels/optimizers_body.hpp"
#include "kernels/warp.cuh"

namespace gpunn::kernels {
namespace {

constexpr std::int64_t kMostRows = 1024;  // of a range: each has a number in shared memory

struct Rates {
  float log_beta1, log_beta2, rate1, rate2, epsilon;
};

__device__ AdamUpdate<float> update_of(const Rates& rates, const StepState* state) {
  const auto t = static_cast<float>(state->step + 1);
  return {.learning_rate = state->learning_rate,
          .weight_decay = 0,
          .rate1 = rates.rate1,
          .rate2 = rates.rate2,
          .epsilon = rates.epsilon,
          .correction = sqrtf(one_minus_power(rates.log_beta2, t)) / one_minus_power(rates.log_beta1, t),
          .decoupled = true};
}

// Lists positions as embedding_backward does. The sum of a row lies in scratch where its first position is:
// by that position, the least, everyone knows whether there is a sum yet. A thread has columns of its own, so
// sums need no barrier.
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    lazy_adam_kernel(EmbeddingShape shape, std::int64_t range_rows, std::int64_t ranges, Rates rates,
                     const StepState* state, const std::int32_t* ids, const float* dy, LazyAdamTable to,
                     float* scratch) {
  __shared__ int first_position[kMostRows], listed[kThreads], rows[kThreads], counts[kThreads / kWarp];
  const int me = static_cast<int>(threadIdx.x), warp = me / kWarp, lane = me % kWarp;
  const AdamUpdate<float> update = update_of(rates, state);
  const float scale = state->gradient_scale;
  for (std::int64_t range = blockIdx.x; range < ranges; range += gridDim.x) {
    const std::int64_t begin = range * range_rows;
    const std::int64_t end = begin + range_rows < shape.rows ? begin + range_rows : shape.rows;
    for (std::int64_t row = me; row < end - begin; row += kThreads) first_position[row] = INT_MAX;
    __syncthreads();
    for (std::int64_t base = 0; base < shape.positions; base += kThreads) {
      const std::int64_t id = base + me < shape.positions ? ids[base + me] : -1;
      const bool mine = id >= begin && id < end;
      const unsigned vote = __ballot_sync(kAllLanes, mine);
      if (lane == 0) counts[warp] = __popc(vote);
      __syncthreads();
      int before = 0, all = 0;
      for (int w = 0; w < kThreads / kWarp; ++w) {
        if (w < warp) before += counts[w];
        all += counts[w];
      }
      if (mine) {
        const int at = before + __popc(vote & ((1u << lane) - 1));
        const int row = static_cast<int>(id - begin);
        listed[at] = me, rows[at] = row;
        atomicMin(&first_position[row], static_cast<int>(base) + me);
      }
      __syncthreads();
      for (std::int64_t c = me; c < shape.columns; c += kThreads) {
        for (int k = 0; k < all;) {  // the sum of a run of one id stays in a register
          const int row = rows[k];
          const std::int64_t first = first_position[row];
          float sum = first == base + listed[k] ? 0.0f : scratch[first * shape.columns + c];
          for (; k < all && rows[k] == row; ++k) sum += dy[(base + listed[k]) * shape.columns + c];
          scratch[first * shape.columns + c] = sum;
        }
      }
    }
    for (std::int64_t row = begin; row < end; ++row) {
      const int first = first_position[row - begin];
      if (first == INT_MAX) continue;
      for (std::int64_t c = me; c < shape.columns; c += kThreads) {
        const std::int64_t at = row * shape.columns + c;
        update(scratch[first * shape.columns + c] * scale, to.table[at], to.m[at], to.v[at]);
      }
    }
    __syncthreads();  // all have read the positions before the next range's
  }
}

}  // namespace

void lazy_adam(Gpu gpu, const EmbeddingShape& shape, const AdamAttributes& attributes, const StepState* state,
               const std::int32_t* ids, const float* dy, const LazyAdamTable& to, float* scratch) {
  require(shape.positions < INT_MAX, "lazy_adam: 2^31 positions or more");
  const Rates rates{.log_beta1 = static_cast<float>(std::log(attributes.beta1)),
                    .log_beta2 = static_cast<float>(std::log(attributes.beta2)),
                    .rate1 = static_cast<float>(1 - attributes.beta1),
                    .rate2 = static_cast<float>(1 - attributes.beta2),
                    .epsilon = attributes.epsilon};
  const std::int64_t range_rows = std::clamp<std::int64_t>(ceil_div(shape.rows, kTargetBlocks), 1, kMostRows);
  const std::int64_t ranges = ceil_div(shape.rows, range_rows);
  launch(gpu, blocks_shape(ranges, gpu.multiprocessors), lazy_adam_kernel, shape, range_rows, ranges, rates,
         state, ids, dy, to, scratch);
}

}  // namespace gpunn::kernels
