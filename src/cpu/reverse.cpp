#include "src/ops/reverse.hpp"

#include <cstring>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

Implementation reverse(const OpCall& call, const Target&) {
  const Shape& x = call.inputs[0].shape;
  const std::int64_t steps = x[1], features = steps == 0 ? 0 : ops::row_elements(x) / steps;
  return sliced("copy", "step by step", [=](const Slice& s) {
    for (std::int64_t i = 0; i < s.rows * steps; ++i) {
      const std::int64_t row = i / steps, t = i % steps;
      const float* from = s.in(0) + i * features;
      float* to = s.out(0) + (row * steps + steps - 1 - t) * features;
      if (s.add(0)) {
        simd::kernels().elementwise.axpy(features, 1.0f, from, to);
      } else {
        std::memcpy(to, from, floats(features));
      }
    }
  });
}

}  // namespace

void implement_reverse(Registry& registry) {
  registry.add("reverse", reverse);
}

}  // namespace gpunn::cpu
