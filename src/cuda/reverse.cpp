#include "src/ops/reverse.hpp"

#include "src/cuda/registry.hpp"
#include "src/cuda/sequences.hpp"

namespace gpunn::cuda {
namespace {

Implementation reverse(const OpCall& call, const Target&) {
  const kernels::SequenceShape shape = sequence_of(call.inputs[0].shape);
  return own_kernel(
      [=](const Launch& l) { kernels::reverse(gpu_of(l), shape, accumulate_of(l, 0), l.in(0), l.out(0)); });
}

}  // namespace

void implement_reverse() {
  register_op("reverse", reverse);
}

}  // namespace gpunn::cuda
