#include "src/ops/sgd.hpp"

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

void update(const Slice& s, const Chunk& chunk, const ops::SgdAttrs& attrs) {
  simd::SgdStep step;
  step.learning_rate = chunk.learning_rate;
  step.momentum = attrs.momentum;
  step.nesterov = attrs.nesterov;
  step.decay = chunk.weight_decay * chunk.learning_rate;
  step.gradient_scale = chunk.gradient_scale;
  float* velocity = attrs.momentum == 0 ? nullptr : s.mutated(2) + chunk.begin;
  simd::kernels().optimizer.sgd(step, chunk.count, s.mutated(0) + chunk.begin, s.in(1) + chunk.begin,
                                velocity);
}

Implementation sgd(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::SgdAttrs>();
  return update_in_chunks("simd sgd", attrs, 3, [attrs](const StepState&) {
    return [&attrs](const Slice& s, const Chunk& chunk) { update(s, chunk, attrs); };
  });
}

}  // namespace

void implement_sgd(Registry& registry) {
  registry.add("sgd", sgd);
}

}  // namespace gpunn::cpu
