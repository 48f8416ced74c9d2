#include "src/ops/concatenate.hpp"

#include "kernels/concatenate.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

// Elements of `shape` before and from `axis` on: what the kernels see as rows and columns.
struct Split {
  std::int64_t rows = 1, columns = 1;
};
Split split_at(const Shape& shape, int axis) {
  const int at = axis < 0 ? axis + shape.rank() : axis;
  Split split;
  for (int k = 0; k < shape.rank(); ++k) (k < at ? split.rows : split.columns) *= shape[k];
  return split;
}

Implementation forward(const OpCall& call, const Target&) {
  const int axis = call.attrs_as<ops::ConcatenateAttrs>().axis;
  std::vector<std::int64_t> columns;
  for (const Spec& input : call.inputs) columns.push_back(split_at(input.shape, axis).columns);
  const std::int64_t rows = split_at(call.outputs[0].shape, axis).rows;
  const auto launches = static_cast<int>((columns.size() + kernels::kMaxBlocks - 1) / kernels::kMaxBlocks);
  return own_kernel(
      [columns, rows](const Launch& l) {
        std::vector<kernels::ColumnBlock> blocks;
        for (std::size_t k = 0; k < columns.size(); ++k)
          blocks.push_back({l.in(static_cast<int>(k)), columns[k]});
        kernels::concatenate(gpu_of(l), rows, blocks, l.out(0));
      },
      launches);
}

Implementation backward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::ConcatenateBackwardAttrs>();
  const Split from = split_at(call.inputs[0].shape, attrs.axis),
              to = split_at(call.outputs[0].shape, attrs.axis);
  const std::int64_t inner = to.columns / std::max<std::int64_t>(attrs.size, 1);
  const kernels::Cut cut{from.rows, from.columns, attrs.begin * inner, to.columns};
  return own_kernel(
      [=](const Launch& l) { kernels::cut_columns(gpu_of(l), cut, accumulate_of(l, 0), l.in(0), l.out(0)); });
}

}  // namespace

void implement_concatenate() {
  register_op("concatenate", forward);
  register_op("concatenate_backward", backward);
}

}  // namespace gpunn::cuda
