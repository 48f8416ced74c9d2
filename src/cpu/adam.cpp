#include "src/ops/adam.hpp"

#include <cmath>

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

void update(const Slice& s, const Chunk& chunk, const ops::AdamAttrs& attrs) {
  float* w = s.mutated(0) + chunk.begin;
  const float* gradient = s.in(1) + chunk.begin;
  float *m = s.mutated(2) + chunk.begin, *v = s.mutated(3) + chunk.begin;
  // In double: 1 - beta2^t loses half of float's digits in the first steps.
  const auto t = static_cast<double>(s.step->step + 1);
  const double correction = std::sqrt(1 - std::pow(static_cast<double>(attrs.beta2), t)) /
                            (1 - std::pow(static_cast<double>(attrs.beta1), t));
  const auto alpha = static_cast<float>(static_cast<double>(chunk.learning_rate) * correction);
  const float keep = attrs.decoupled ? 1.0f - chunk.weight_decay * chunk.learning_rate : 1.0f;
  const float penalty = attrs.decoupled ? 0.0f : chunk.weight_decay;
  const float blend1 = 1.0f - attrs.beta1, blend2 = 1.0f - attrs.beta2, epsilon = attrs.epsilon;
  for (std::int64_t i = 0; i < chunk.count; ++i) {
    const float g = gradient[i] * chunk.gradient_scale + penalty * w[i];
    m[i] += (g - m[i]) * blend1;
    v[i] += (g * g - v[i]) * blend2;
    w[i] = w[i] * keep - m[i] * alpha / (std::sqrt(v[i]) + epsilon);
  }
}

Implementation adam(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::AdamAttrs>();
  return update_in_chunks("loop", attrs, 4,
                          [attrs](const Slice& s, const Chunk& chunk) { update(s, chunk, attrs); });
}

}  // namespace

void implement_adam(Registry& registry) {
  registry.add("adam", adam);
}

}  // namespace gpunn::cpu
