#include "src/ops/lazy_adam.hpp"

#include <algorithm>

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 5, call, "takes ids, dy, a table, m and v");
  const Shape &ids = call.inputs[0].shape, &dy = call.inputs[1].shape, &table = call.inputs[2].shape;
  expects(call.inputs[0].dtype == Dtype::i32 && ids.rank() >= 1, call, "ids must be i32 [batch, ...]");
  expects(is_f32(call, 2) && table.rank() == 2 && call.inputs[3] == call.inputs[2] &&
              call.inputs[4] == call.inputs[2],
          call, "the table, m and v must be f32 [rows, width]");
  expects(is_f32(call, 1) && dy.rank() == ids.rank() + 1 && dy[-1] == table[1] &&
              leading_elements(dy) == ids.elements(),
          call, "dy must be f32 [ids..., width]");
  return {};
}

// Of the rows that a batch can name: 14 operations and 7 floats for each element, and the sums.
Cost cost(const OpCall& call) {
  const double dy = static_cast<double>(call.inputs[1].shape.elements());
  const double named = std::min(dy, static_cast<double>(call.inputs[2].shape.elements()));
  return {dy + 14 * named, 4 * (dy + 6 * named) + static_cast<double>(call.inputs[0].size_bytes())};
}

}  // namespace

void define_lazy_adam(Registry& registry) {
  registry.add({.name = "lazy_adam", .outputs = {}, .infer = infer, .cost = cost, .mutates = 0b11100});
}

}  // namespace gpunn::ops
