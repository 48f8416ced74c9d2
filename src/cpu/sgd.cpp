#include "src/ops/sgd.hpp"

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

void update(const Slice& s, const Chunk& chunk, const ops::SgdAttrs& attrs) {
  float* w = s.mutated(0) + chunk.begin;
  const float* gradient = s.in(1) + chunk.begin;
  const float keep = 1.0f - chunk.weight_decay * chunk.learning_rate;
  const float rate = chunk.learning_rate * chunk.gradient_scale, momentum = attrs.momentum;
  if (momentum == 0) {
    for (std::int64_t i = 0; i < chunk.count; ++i) w[i] = w[i] * keep - rate * gradient[i];
    return;
  }
  float* velocity = s.mutated(2) + chunk.begin;
  for (std::int64_t i = 0; i < chunk.count; ++i) {
    const float step = rate * gradient[i];
    velocity[i] = momentum * velocity[i] - step;
    w[i] = w[i] * keep + (attrs.nesterov ? momentum * velocity[i] - step : velocity[i]);
  }
}

Implementation sgd(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::SgdAttrs>();
  return update_in_chunks("loop", attrs, 3,
                          [attrs](const Slice& s, const Chunk& chunk) { update(s, chunk, attrs); });
}

}  // namespace

void implement_sgd(Registry& registry) {
  registry.add("sgd", sgd);
}

}  // namespace gpunn::cpu
