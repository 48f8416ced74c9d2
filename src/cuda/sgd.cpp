#include "src/ops/sgd.hpp"

#include "src/cuda/optimizers.hpp"

namespace gpunn::cuda {
namespace {

Implementation update(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::SgdAttrs>();
  const auto pieces = pieces_of(attrs.segments, attrs.weight_decay);
  const auto count = static_cast<std::int64_t>(pieces.size());
  const kernels::SgdAttributes attributes{attrs.momentum, attrs.nesterov};
  const kernels::Clip how{nullptr, attrs.clip_norm, attrs.skip_nonfinite};
  Implementation made = own_kernel([=](const Launch& l) {
    kernels::Clip clip = how;
    clip.norm = l.in(3);
    kernels::sgd(gpu_of(l), pieces_in(l, count), attributes, clip, state_in(l), {l.mutated(0), l.in(1)},
                 l.mutated(2));
  });
  made.constants = bytes_of(pieces);
  return made;
}

}  // namespace

void implement_sgd() {
  register_op("sgd", update);
}

}  // namespace gpunn::cuda
