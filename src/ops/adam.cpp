#include "src/ops/adam.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() >= 4, call, "takes parameters, gradients, m, v and norm?");
  const Spec& parameters = call.inputs[0];
  const auto& attrs = call.attrs_as<AdamAttrs>();
  expects(is_f32(call, 0) && parameters.shape.rank() == 1 && call.inputs[1] == parameters &&
              call.inputs[2] == parameters && call.inputs[3] == parameters,
          call, "parameters, gradients, m and v must be f32 [n]");
  if (attrs.clip_norm > 0 || attrs.skip_nonfinite) {
    expects(has(call, 4) && call.inputs[4] == Spec{Shape{1}}, call,
            "clipping and skip_nonfinite need the norm f32 [1]");
  }
  expect_segments(call, attrs.segments, parameters.shape[0]);
  return {};
}

}  // namespace

void define_adam(Registry& registry) {
  registry.add(
      {.name = "adam", .outputs = {}, .infer = infer, .cost = per_input_element<14>, .mutates = 0b1101});
}

}  // namespace gpunn::ops
