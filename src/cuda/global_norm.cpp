#include "src/ops/global_norm.hpp"

#include "src/cuda/optimizers.hpp"

namespace gpunn::cuda {
namespace {

Implementation squared_norms(const OpCall& call, const Target&) {
  const auto pieces = pieces_of(call.attrs_as<ops::SquaredNormsAttrs>().segments, 0);
  const auto count = static_cast<std::int64_t>(pieces.size());
  Implementation made = own_kernel(
      [=](const Launch& l) { kernels::squared_norms(gpu_of(l), pieces_in(l, count), l.in(0), l.out(0)); });
  made.constants = bytes_of(pieces);
  return made;
}

Implementation global_norm(const OpCall& call, const Target&) {
  const std::int64_t count = call.inputs[0].shape.elements();
  return own_kernel(
      [=](const Launch& l) { kernels::global_norm(gpu_of(l), count, l.in(0), state_in(l), l.out(0)); });
}

}  // namespace

void implement_global_norm() {
  register_op("squared_norms", squared_norms);
  register_op("global_norm", global_norm);
}

}  // namespace gpunn::cuda
