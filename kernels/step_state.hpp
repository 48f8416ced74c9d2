// What changes from step to step, in device memory: a captured step reads it there, so that replaying stays
// right.
#pragma once

#include <cstdint>

namespace gpunn::kernels {

struct StepState {
  std::uint64_t seed = 0;
  std::int64_t step = 0;  // optimizer steps done before this one
  float learning_rate = 0;
  float gradient_scale = 1;  // multiplied into gradients: accumulation, loss scaling
  std::int64_t calls = 0;    // of finish_step(): steps run
};

}  // namespace gpunn::kernels
