// Optimizer steps over flat buffers, and what clipping by the global norm needs. Formulas are Keras's.
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

// g = gradient_scale * gradient + l2 * w
// m += (g - m) (1 - beta1);  v += (g g - v) (1 - beta2);  w -= decay * w;  w -= alpha m / (sqrt(v) + epsilon)
struct AdamStep {
  float alpha = 0;  // lr * sqrt(1 - beta2^t) / (1 - beta1^t)
  float beta1 = 0.9f, beta2 = 0.999f;
  float epsilon = 1e-7f;  // outside the bias-corrected root, as Keras has it
  float decay = 0;        // AdamW: lr * weight decay
  float l2 = 0;           // weight decay that goes through the gradient
  float gradient_scale = 1;
};

// g = gradient_scale * gradient;  w -= decay * w
// without velocity: w -= lr g;  with it: u = momentum u - lr g, then w += u, or with nesterov w += momentum u
// - lr g
struct SgdStep {
  float learning_rate = 0;
  float momentum = 0;
  bool nesterov = false;
  float decay = 0;  // lr * weight decay
  float gradient_scale = 1;
};

struct OptimizerKernels {
  // Square root and division are exact: approximations differ between vendors. Set FlushDenormals around the
  // calls, or the moments of idle parameters decay into denormals that cost ten times the time.
  void (*adam)(const AdamStep& step, std::int64_t n, float* w, const float* gradient, float* m, float* v);
  void (*sgd)(const SgdStep& step, std::int64_t n, float* w, const float* gradient,
              float* velocity);  // velocity or null

  // Sum of x^2 in an order that depends on n alone.
  double (*sum_of_squares)(std::int64_t n, const float* x);
  // out[n] = part 0 + part 1 + ... in this order, or out += one after the other: gradients of slices. Part p
  // is at first + p * stride. REQUIRES: parts > 0
  void (*sum_parts)(std::int64_t n, std::int64_t parts, const float* first, std::int64_t stride, float* out,
                    bool add);
};

GPUNN_SIMD_TABLES(OptimizerKernels, optimizer_table)

}  // namespace gpunn::cpu::simd
