#include "src/ops/adam.hpp"

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

void update(const Slice& s, const Chunk& chunk, const ops::AdamAttrs& attrs, double correction) {
  simd::AdamStep step;
  step.alpha = static_cast<float>(static_cast<double>(chunk.learning_rate) * correction);
  step.beta1 = attrs.beta1;
  step.beta2 = attrs.beta2;
  step.epsilon = attrs.epsilon;
  step.decay = attrs.decoupled ? chunk.weight_decay * chunk.learning_rate : 0.0f;
  step.l2 = attrs.decoupled ? 0.0f : chunk.weight_decay;
  step.gradient_scale = chunk.gradient_scale;
  simd::kernels().optimizer.adam(step, chunk.count, s.mutated(0) + chunk.begin, s.in(1) + chunk.begin,
                                 s.mutated(2) + chunk.begin, s.mutated(3) + chunk.begin);
}

Implementation adam(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::AdamAttrs>();
  return update_in_chunks("simd adam", attrs, 4, [attrs](const StepState& state) {
    return [&attrs,
            correction = bias_correction(attrs.beta1, attrs.beta2, static_cast<std::uint64_t>(state.step))](
               const Slice& s, const Chunk& chunk) { update(s, chunk, attrs, correction); };
  });
}

}  // namespace

void implement_adam(Registry& registry) {
  registry.add("adam", adam);
}

}  // namespace gpunn::cpu
