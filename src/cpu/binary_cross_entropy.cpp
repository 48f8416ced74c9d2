#include "src/ops/binary_cross_entropy.hpp"

#include <cmath>

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "rarely used: probabilities that no sigmoid made", [=](const Slice& s) {
    put_loss(shape, s, [&](std::int64_t v) {
      float loss = 0;
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        const float p = clipped(s.in(0)[i]), label = s.in(1)[i];
        loss -= label * std::log(p) + (1.0f - label) * std::log(1.0f - p);
      }
      return loss / static_cast<float>(classes);
    });
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "rarely used: probabilities that no sigmoid made", [=](const Slice& s) {
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float scale = shape.gradient_scale(s, v) / static_cast<float>(classes);
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        const float p = s.in(0)[i];
        put(s.out(0)[i], is_clipped(p) ? 0.0f : scale * ((p - s.in(1)[i]) / (p * (1.0f - p))), s.add(0));
      }
    }
  });
}

}  // namespace

void implement_binary_cross_entropy(Registry& registry) {
  registry.add("binary_cross_entropy", forward);
  registry.add("binary_cross_entropy_backward", backward);
}

}  // namespace gpunn::cpu
