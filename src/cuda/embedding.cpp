#include "src/ops/embedding.hpp"

#include "kernels/embedding_sorted.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const kernels::EmbeddingShape shape{.positions = call.inputs[0].shape.elements(),
                                      .columns = call.inputs[1].shape[1],
                                      .rows = call.inputs[1].shape[0]};
  return own_kernel([=](const Launch& l) {
    kernels::embedding_forward(gpu_of(l), shape, l.in<std::int32_t>(0), l.in(1), l.out(0));
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const kernels::EmbeddingShape shape{.positions = call.inputs[0].shape.elements(),
                                      .columns = call.inputs[1].shape[-1],
                                      .rows = call.attrs_as<ops::EmbeddingBackwardAttrs>().vocabulary};
  if (kernels::embedding_is_sorted(shape)) {
    Implementation sorted = own_kernel(
        [=](const Launch& l) {
          kernels::embedding_backward_sorted(gpu_of(l), shape, accumulate_of(l, 0), l.in<std::int32_t>(0),
                                             l.in(1), l.out(0), l.scratch);
        },
        kernels::embedding_sorted_launches(shape), kernels::embedding_sorted_scratch(shape));
    sorted.name = "cub sort";
    sorted.why = std::to_string(kernels::kSortedPositions) + " ids or more: sorted, then summed run by run";
    return sorted;
  }
  Implementation scanned = own_kernel([=](const Launch& l) {
    kernels::embedding_backward(gpu_of(l), shape, accumulate_of(l, 0), l.in<std::int32_t>(0), l.in(1),
                                l.out(0));
  });
  scanned.why = shape.positions < kernels::kSortedPositions
                    ? "fewer than " + std::to_string(kernels::kSortedPositions) + " ids: one launch, no sort"
                    : "more ids or rows than are sorted";
  return scanned;
}

}  // namespace

void implement_embedding() {
  register_op("embedding", forward);
  register_op("embedding_backward", backward);
}

}  // namespace gpunn::cuda
