#include "src/ops/adam.hpp"

#include "src/cuda/optimizers.hpp"

namespace gpunn::cuda {
namespace {

Implementation update(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::AdamAttrs>();
  const auto pieces = pieces_of(attrs.segments, attrs.weight_decay);
  const auto count = static_cast<std::int64_t>(pieces.size());
  const kernels::AdamAttributes attributes{attrs.beta1, attrs.beta2, attrs.epsilon, attrs.decoupled};
  const kernels::Clip how{nullptr, attrs.clip_norm, attrs.skip_nonfinite};
  Implementation made = own_kernel([=](const Launch& l) {
    kernels::Clip clip = how;
    clip.norm = l.in(4);
    kernels::adam(gpu_of(l), pieces_in(l, count), attributes, clip, state_in(l), {l.mutated(0), l.in(1)},
                  l.mutated(2), l.mutated(3));
  });
  made.constants = bytes_of(pieces);
  return made;
}

}  // namespace

void implement_adam() {
  register_op("adam", update);
}

}  // namespace gpunn::cuda
