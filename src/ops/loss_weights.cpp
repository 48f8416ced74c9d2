#include "src/ops/loss_weights.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

bool is_mask(const Spec& spec) {
  return spec.dtype == Dtype::u8 && spec.shape.rank() == 2;
}

Specs infer_count(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_mask(call.inputs[0]), call, "takes a mask u8 [batch, steps]");
  return {{Shape{1}}};
}

Specs infer_weights(const OpCall& call) {
  const bool weighted = has(call, 0), masked = has(call, 1);
  expects(weighted || masked, call, "takes weights, a mask, or both");
  const std::int64_t vectors = call.attrs_as<LossWeightsAttrs>().vectors;
  const std::int64_t batch = call.inputs[weighted ? 0 : 1].shape[0];
  if (weighted) {
    const std::int64_t each = row_elements(call.inputs[0].shape);
    expects(is_f32(call, 0) && (each == 1 || each == vectors), call,
            "weights must be f32, one for each sample or for each vector");
  }
  if (masked) {
    const Shape& mask = call.inputs[1].shape;
    expects(is_mask(call.inputs[1]) && mask[0] == batch && mask[1] > 0 && vectors % mask[1] == 0, call,
            "the mask must be u8 [batch, steps], with predictions for every step");
  }
  if (has(call, 2)) {
    expects(masked && call.inputs[2] == Spec{Shape{1}}, call, "the count of a mask must be f32 [1]");
  }
  return {{Shape{batch, vectors}}};
}

}  // namespace

void define_loss_weights(Registry& registry) {
  registry.add({.name = "mask_count", .outputs = {Rows::sum}, .infer = infer_count});
  registry.add({.name = "loss_weights", .outputs = {Rows::each}, .infer = infer_weights});
}

}  // namespace gpunn::ops
