#include "src/ops/loss_weights.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

Implementation mask_count(const OpCall& call, const Target&) {
  return sliced("loop", "", [steps = call.inputs[0].shape[1]](const Slice& s) {
    const auto* mask = s.in<std::uint8_t>(0);
    s.out(0)[0] =
        static_cast<float>(std::count_if(mask, mask + s.rows * steps, [](auto m) { return m != 0; }));
  });
}

Implementation loss_weights(const OpCall& call, const Target&) {
  const bool weighted = ops::has(call, 0), masked = ops::has(call, 1), counted = ops::has(call, 2);
  const std::int64_t vectors = call.outputs[0].shape[1];
  const std::int64_t per_weight = weighted && ops::row_elements(call.inputs[0].shape) > 1 ? 1 : vectors;
  const std::int64_t per_step = masked ? vectors / call.inputs[1].shape[1] : 1;
  const auto total = static_cast<float>(masked ? call.inputs[1].shape.elements() : 0);
  return sliced("loop", "", [=](const Slice& s) {
    float real = 1;
    if (counted) real = s.in(2)[0] > 0 ? total / s.in(2)[0] : 0;
    for (std::int64_t i = 0; i < s.rows * vectors; ++i) {
      const float weight = weighted ? s.in(0)[i / per_weight] : 1.0f;
      s.out(0)[i] = weight * (!masked ? 1.0f : s.in<std::uint8_t>(1)[i / per_step] != 0 ? real : 0.0f);
    }
  });
}

}  // namespace

void implement_loss_weights(Registry& registry) {
  registry.add("mask_count", mask_count);
  registry.add("loss_weights", loss_weights);
}

}  // namespace gpunn::cpu
