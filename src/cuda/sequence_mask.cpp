#include "src/ops/sequence_mask.hpp"

#include "src/cuda/registry.hpp"
#include "src/cuda/sequences.hpp"

namespace gpunn::cuda {
namespace {

template <class T>
Implementation mask_of(const OpCall& call) {
  const kernels::SequenceShape shape = sequence_of(call.inputs[0].shape);
  const auto value = static_cast<T>(call.attrs_as<ops::SequenceMaskAttrs>().value);
  return own_kernel([=](const Launch& l) {
    kernels::sequence_mask(gpu_of(l), shape, value, l.in<T>(0), l.out<std::uint8_t>(0));
  });
}

Implementation sequence_mask(const OpCall& call, const Target&) {
  return call.inputs[0].dtype == Dtype::i32 ? mask_of<std::int32_t>(call) : mask_of<float>(call);
}

Implementation apply_mask(const OpCall& call, const Target&) {
  const kernels::SequenceShape shape = sequence_of(call.inputs[0].shape);
  return own_kernel([=](const Launch& l) {
    kernels::apply_mask(gpu_of(l), shape, accumulate_of(l, 0), l.in(0), l.in<std::uint8_t>(1), l.out(0));
  });
}

Implementation merge_masks(const OpCall& call, const Target&) {
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape;
  const bool join = call.attrs_as<ops::MergeMasksAttrs>().join;
  return own_kernel([=, rows = a[0], steps = a[1], others = b[1]](const Launch& l) {
    const std::uint8_t *x = l.in<std::uint8_t>(0), *z = l.in<std::uint8_t>(1);
    if (join) return kernels::join_masks(gpu_of(l), rows, steps, others, x, z, l.out<std::uint8_t>(0));
    kernels::either_mask(gpu_of(l), rows * steps, x, z, l.out<std::uint8_t>(0));
  });
}

}  // namespace

void implement_sequence_mask() {
  register_op("sequence_mask", sequence_mask);
  register_op("apply_mask", apply_mask);
  register_op("merge_masks", merge_masks);
}

}  // namespace gpunn::cuda
