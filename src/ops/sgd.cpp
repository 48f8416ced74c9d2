#include "src/ops/sgd.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() >= 2, call, "takes parameters, gradients, velocity? and norm?");
  const Spec& parameters = call.inputs[0];
  const auto& attrs = call.attrs_as<SgdAttrs>();
  expects(is_f32(call, 0) && parameters.shape.rank() == 1 && call.inputs[1] == parameters, call,
          "parameters and gradients must be f32 [n]");
  if (attrs.momentum != 0) {
    expects(has(call, 2) && call.inputs[2] == parameters, call, "momentum needs a velocity f32 [n]");
  }
  if (attrs.clip_norm > 0 || attrs.skip_nonfinite) {
    expects(has(call, 3) && call.inputs[3] == Spec{Shape{1}}, call,
            "clipping and skip_nonfinite need the norm f32 [1]");
  }
  expect_segments(call, attrs.segments, parameters.shape[0]);
  return {};
}

}  // namespace

void define_sgd(Registry& registry) {
  registry.add(
      {.name = "sgd", .outputs = {}, .infer = infer, .cost = per_input_element<4>, .mutates = 0b101});
}

}  // namespace gpunn::ops
