#include "src/ops/adam.hpp"

#include <cmath>

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

// 1 - beta^t. Thousands of steps on nothing is left of the power, and the C library would spend its time on
// an underflow.
double one_minus_power(double beta, double t) {
  constexpr double kVanished = -40;  // e^-40 is below half a unit in the last place of 1
  return (beta - 1) * t < kVanished ? 1.0 : 1 - std::pow(beta, t);
}

// sqrt(1 - beta2^t) / (1 - beta1^t), in double: 1 - beta2^t loses half of float's digits in the first steps.
double bias_correction(const ops::AdamAttrs& attrs, std::uint64_t step) {
  const auto t = static_cast<double>(step + 1);
  return std::sqrt(one_minus_power(static_cast<double>(attrs.beta2), t)) /
         one_minus_power(static_cast<double>(attrs.beta1), t);
}

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
    return [&attrs, correction = bias_correction(attrs, state.step)](const Slice& s, const Chunk& chunk) {
      update(s, chunk, attrs, correction);
    };
  });
}

}  // namespace

void implement_adam(Registry& registry) {
  registry.add("adam", adam);
}

}  // namespace gpunn::cpu
