#include "src/ops/mean_squared_error.hpp"

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kWhy = "few operations per element";

Implementation forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", kWhy, [=](const Slice& s) {
    put_loss(shape, s, [&](std::int64_t v) {
      float sum = 0;
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        const float difference = s.in(0)[i] - s.in(1)[i];
        sum += difference * difference;
      }
      return sum / static_cast<float>(classes);
    });
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", kWhy, [=](const Slice& s) {
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float scale = shape.gradient_scale(s, v) * 2.0f / static_cast<float>(classes);
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        put(s.out(0)[i], scale * (s.in(0)[i] - s.in(1)[i]), s.add(0));
      }
    }
  });
}

}  // namespace

void implement_mean_squared_error(Registry& registry) {
  registry.add("mean_squared_error", forward);
  registry.add("mean_squared_error_backward", backward);
}

}  // namespace gpunn::cpu
