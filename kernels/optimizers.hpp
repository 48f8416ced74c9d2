// Optimizers over flat buffers of parameters, gradients and slots: one launch for all of them, one block per
// piece of the table. Keras's formulas. The step, learning rate and scales are read from the state in device
// memory.
#pragma once

#include "kernels/gpu.hpp"
#include "kernels/step_state.hpp"

namespace gpunn::kernels {

// A stretch of the flat buffers with one set of factors. The table lies in device memory; frozen parameters
// and padding are in no piece and never touched.
struct UpdatePiece {
  std::int64_t begin = 0;  // element of the buffers
  std::int32_t count = 0;
  float learning_rate_factor = 1;
  float weight_decay = 0;  // 0: none
};

struct Pieces {
  const UpdatePiece* table = nullptr;  // device memory
  std::int64_t count = 0;
};

struct Parameters {
  float* values = nullptr;
  const float* gradients = nullptr;
};

// What `norm` of global_norm does to an update (null: nothing).
struct Clip {
  const float* norm = nullptr;
  float to = 0;                 // gradients are clipped to this norm; 0: not at all
  bool skip_nonfinite = false;  // nothing is changed when the norm is not finite
};

// sums[piece] = sum of squares of the piece's gradients. Reads 4 bytes per parameter.
void squared_norms(Gpu gpu, Pieces pieces, const float* gradients, float* sums);
// norm[0] = sqrt(sum of sums) * |state->gradient_scale|.
void global_norm(Gpu gpu, std::int64_t count, const float* sums, const StepState* state, float* norm);

struct SgdAttributes {
  float momentum = 0;
  bool nesterov = false;
};
// g = gradient * gradient_scale, clipped; lr = learning_rate * factor;
//   w -= w * weight_decay * lr
//   momentum 0:  w -= lr * g                    (velocity null)
//   else:        velocity = momentum * velocity - lr * g;  w += velocity, or w += momentum * velocity - lr *
//   g
// Reads and writes 12 (20 with velocity) bytes per parameter.
void sgd(Gpu gpu, Pieces pieces, const SgdAttributes& attributes, Clip clip, const StepState* state,
         Parameters parameters, float* velocity);

struct AdamAttributes {
  double beta1 = 0.9;
  double beta2 = 0.999;
  float epsilon = 1e-7f;
  bool decoupled = true;  // AdamW: w -= w * weight_decay * lr; else g += weight_decay * w
};
// t = step + 1; m += (g - m) * (1 - beta1); v += (g * g - v) * (1 - beta2);
// w -= m * lr * sqrt(1 - beta2^t) / (1 - beta1^t) / (sqrt(v) + epsilon).
// Reads and writes 28 bytes per parameter.
void adam(Gpu gpu, Pieces pieces, const AdamAttributes& attributes, Clip clip, const StepState* state,
          Parameters parameters, float* m, float* v);

// Ends a step: ring[calls % capacity] = results[0 .. count); calls += 1; step += 1. The host reads the ring
// every few steps. ring may be null.
struct ResultRing {
  float* ring = nullptr;  // [capacity, count]
  std::int64_t capacity = 0;
  const float* results = nullptr;
  std::int64_t count = 0;
};
void finish_step(Gpu gpu, const ResultRing& ring, StepState* state);

}  // namespace gpunn::kernels
