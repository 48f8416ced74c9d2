#include "src/ops/global_norm.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer_squared_norms(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() == 1, call,
          "takes gradients f32 [n]");
  const ParameterSegments& segments = call.attrs_as<SquaredNormsAttrs>().segments;
  expect_segments(call, segments, call.inputs[0].shape[0]);
  return {{Shape{static_cast<std::int64_t>(update_chunks(segments, kUpdatePiece).size())}}};
}

Specs infer_global_norm(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() == 1, call,
          "takes sums f32 [pieces]");
  return {{Shape{1}}};
}

}  // namespace

void define_global_norm(Registry& registry) {
  registry.add({.name = "squared_norms",
                .outputs = {Rows::all},
                .infer = infer_squared_norms,
                .cost = per_input_element<2>});
  registry.add({.name = "global_norm",
                .outputs = {Rows::all},
                .infer = infer_global_norm,
                .cost = per_input_element<1>});
}

}  // namespace gpunn::ops
