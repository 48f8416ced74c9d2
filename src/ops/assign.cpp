#include "src/ops/assign.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 2 && is_f32(call, 0) && call.inputs[0] == call.inputs[1], call,
          "takes a target and a value of the same shape, f32");
  return {};
}

}  // namespace

void define_assign(Registry& registry) {
  registry.add({.name = "assign", .outputs = {}, .infer = infer, .mutates = 0b1});
}

}  // namespace gpunn::ops
