#include "kernels/optimizers.hpp"

#include <cmath>

#include "kernels/launch.cuh"
#include "kernels/optimizers_body.hpp"
#include "kernels/vector.cuh"
#include "kernels/warp.cuh"

namespace gpunn::kernels {
namespace {

// `slots` more buffers besides the parameters go through `update` in packs of four where they can.
struct FlatBuffers {
  float* values;
  const float* gradients;
  float* first;   // may be null
  float* second;  // may be null
  bool wide;      // all of them are 16-byte aligned
};

template <int kCount, class Update>
__device__ void update_at(const FlatBuffers& b, std::int64_t i, float scale, const Update& update) {
  const auto g = load<kCount>(b.gradients + i);
  auto w = load<kCount>(b.values + i);
  auto first = b.first == nullptr ? Pack<float, kCount>{} : load<kCount>(b.first + i);
  auto second = b.second == nullptr ? Pack<float, kCount>{} : load<kCount>(b.second + i);
  for (int k = 0; k < kCount; ++k) update(g.v[k] * scale, w.v[k], first.v[k], second.v[k]);
  store(b.values + i, w);
  if (b.first != nullptr) store(b.first + i, first);
  if (b.second != nullptr) store(b.second + i, second);
}

template <class Update>
__device__ void update_piece(const UpdatePiece& piece, const FlatBuffers& b, float scale,
                             const Update& update) {
  // A piece may begin anywhere: single elements up to the first multiple of four, packs, the rest.
  const std::int64_t end = piece.begin + piece.count;
  std::int64_t wide_begin = b.wide ? (piece.begin + 3) / 4 * 4 : end;
  if (wide_begin > end) wide_begin = end;
  const std::int64_t wide_end = wide_begin + (end - wide_begin) / 4 * 4;
  for (std::int64_t i = piece.begin + threadIdx.x; i < wide_begin; i += kThreads)
    update_at<1>(b, i, scale, update);
  for (std::int64_t i = wide_begin + 4 * threadIdx.x; i < wide_end; i += 4 * kThreads)
    update_at<4>(b, i, scale, update);
  for (std::int64_t i = wide_end + threadIdx.x; i < end; i += kThreads) update_at<1>(b, i, scale, update);
}

__device__ float gradient_factor(const StepState* state, const Clip& clip) {
  return clip.to == 0.0f ? state->gradient_scale : state->gradient_scale * clip_factor(*clip.norm, clip.to);
}

__device__ bool skips(const Clip& clip) {
  return clip.skip_nonfinite && !(*clip.norm - *clip.norm == 0.0f);
}

__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    sgd_kernel(Pieces pieces, SgdAttributes attributes, Clip clip, const StepState* state,
               FlatBuffers buffers) {
  if (skips(clip)) return;  // all threads alike
  const float scale = gradient_factor(state, clip);
  for (std::int64_t p = blockIdx.x; p < pieces.count; p += gridDim.x) {
    const UpdatePiece piece = pieces.table[p];
    const SgdUpdate<float> update{state->learning_rate * piece.learning_rate_factor, piece.weight_decay,
                                  attributes.momentum, attributes.nesterov};
    update_piece(piece, buffers, scale,
                 [&](float g, float& w, float& velocity, float&) { update(g, w, velocity); });
  }
}

struct AdamConstants {
  float log_beta1, log_beta2, rate1, rate2, epsilon;
  bool decoupled;
};

__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    adam_kernel(Pieces pieces, AdamConstants c, Clip clip, const StepState* state, FlatBuffers buffers) {
  if (skips(clip)) return;  // all threads alike
  const float scale = gradient_factor(state, clip);
  const auto t = static_cast<float>(state->step + 1);
  const float correction = sqrtf(one_minus_power(c.log_beta2, t)) / one_minus_power(c.log_beta1, t);
  for (std::int64_t p = blockIdx.x; p < pieces.count; p += gridDim.x) {
    const UpdatePiece piece = pieces.table[p];
    const AdamUpdate<float> update{.learning_rate = state->learning_rate * piece.learning_rate_factor,
                                   .weight_decay = piece.weight_decay,
                                   .rate1 = c.rate1,
                                   .rate2 = c.rate2,
                                   .epsilon = c.epsilon,
                                   .correction = correction,
                                   .decoupled = c.decoupled};
    update_piece(piece, buffers, scale, update);
  }
}

__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    squared_norms_kernel(Pieces pieces, const float* gradients, float* sums) {
  __shared__ float shared[kThreads / kWarp];
  for (std::int64_t p = blockIdx.x; p < pieces.count; p += gridDim.x) {
    const UpdatePiece piece = pieces.table[p];
    float sum = 0;
    for (std::int64_t i = threadIdx.x; i < piece.count; i += kThreads) {
      const float g = gradients[piece.begin + i];
      sum += g * g;
    }
    sum = block_reduce<kThreads>(sum, shared, Sum{});
    if (threadIdx.x == 0) sums[p] = sum;
  }
}

// One block.
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    global_norm_kernel(std::int64_t count, const float* sums, const StepState* state, float* norm) {
  __shared__ float shared[kThreads / kWarp];
  float sum = 0;
  for (std::int64_t p = threadIdx.x; p < count; p += kThreads) sum += sums[p];
  sum = block_reduce<kThreads>(sum, shared, Sum{});
  if (threadIdx.x != 0) return;
  norm[0] = sqrtf(sum) * fabsf(state->gradient_scale);
}

// One block.
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    finish_step_kernel(ResultRing ring, StepState* state) {
  const std::int64_t calls = state->calls;
  __syncthreads();  // all have read it before it changes
  if (ring.ring != nullptr) {
    float* line = ring.ring + calls % ring.capacity * ring.count;
    for (std::int64_t i = threadIdx.x; i < ring.count; i += kThreads) line[i] = ring.results[i];
  }
  if (threadIdx.x != 0) return;
  state->calls = calls + 1;
  ++state->step;
}

LaunchShape pieces_shape(const Gpu& gpu, Pieces pieces) {
  return blocks_shape(pieces.count, gpu.multiprocessors);
}

}  // namespace

void squared_norms(Gpu gpu, Pieces pieces, const float* gradients, float* sums) {
  launch(gpu, pieces_shape(gpu, pieces), squared_norms_kernel, pieces, gradients, sums);
}

void global_norm(Gpu gpu, std::int64_t count, const float* sums, const StepState* state, float* norm) {
  launch(gpu, {1, kThreads}, global_norm_kernel, count, sums, state, norm);
}

void sgd(Gpu gpu, Pieces pieces, const SgdAttributes& attributes, Clip clip, const StepState* state,
         Parameters parameters, float* velocity) {
  require((attributes.momentum == 0) == (velocity == nullptr),
          "sgd: momentum needs a velocity, and only momentum");
  const bool wide = packs_of_four(parameters.values, parameters.gradients, velocity);
  launch(gpu, pieces_shape(gpu, pieces), sgd_kernel, pieces, attributes, clip, state,
         FlatBuffers{parameters.values, parameters.gradients, velocity, nullptr, wide});
}

void adam(Gpu gpu, Pieces pieces, const AdamAttributes& attributes, Clip clip, const StepState* state,
          Parameters parameters, float* m, float* v) {
  const AdamConstants constants{.log_beta1 = static_cast<float>(std::log(attributes.beta1)),
                                .log_beta2 = static_cast<float>(std::log(attributes.beta2)),
                                .rate1 = static_cast<float>(1 - attributes.beta1),
                                .rate2 = static_cast<float>(1 - attributes.beta2),
                                .epsilon = attributes.epsilon,
                                .decoupled = attributes.decoupled};
  const bool wide = packs_of_four(parameters.values, parameters.gradients, m, v);
  launch(gpu, pieces_shape(gpu, pieces), adam_kernel, pieces, constants, clip, state,
         FlatBuffers{parameters.values, parameters.gradients, m, v, wide});
}

void finish_step(Gpu gpu, const ResultRing& ring, StepState* state) {
  require(ring.ring == nullptr || ring.capacity > 0, "finish_step: a ring needs at least one line");
  launch(gpu, {1, kThreads}, finish_step_kernel, ring, state);
}

}  // namespace gpunn::kernels
