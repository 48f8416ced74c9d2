#include "src/ops/cross_entropy.hpp"

#include <cmath>

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

float sum_of(const float* p, std::int64_t classes) {
  float sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += p[c];
  return sum;
}

Implementation forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "rarely used: probabilities that no softmax made", [=](const Slice& s) {
    put_loss(shape, s, [&](std::int64_t v) {
      const float* p = s.in(0) + v * classes;
      const float total = sum_of(p, classes);
      if (shape.sparse) {
        const std::int64_t label = shape.label(s, v);
        return label < 0 ? kNaN : -std::log(clipped(p[label] / total));
      }
      float loss = 0;
      for (std::int64_t c = 0; c < classes; ++c)
        loss -= s.in(1)[v * classes + c] * std::log(clipped(p[c] / total));
      return loss;
    });
  });
}

// With q = p / sum: dq = -label / q where not clipped, dp = (dq - sum(dq * q)) / sum.
Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "rarely used: probabilities that no softmax made", [=](const Slice& s) {
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float* p = s.in(0) + v * classes;
      const float total = sum_of(p, classes);
      const std::int64_t sparse = shape.sparse ? shape.label(s, v) : 0;
      const auto dq = [&](std::int64_t c) {
        if (sparse < 0) return kNaN;
        const float label = shape.sparse ? (c == sparse ? 1.0f : 0.0f) : s.in(1)[v * classes + c];
        const float q = p[c] / total;
        return is_clipped(q) ? 0.0f : -label / q;
      };
      float along = 0;
      for (std::int64_t c = 0; c < classes; ++c) along += dq(c) * (p[c] / total);
      const float scale = shape.gradient_scale(s, v) / total;
      for (std::int64_t c = 0; c < classes; ++c)
        put(s.out(0)[v * classes + c], scale * (dq(c) - along), s.add(0));
    }
  });
}

}  // namespace

void implement_cross_entropy(Registry& registry) {
  registry.add("cross_entropy", forward);
  registry.add("cross_entropy_backward", backward);
}

}  // namespace gpunn::cpu
