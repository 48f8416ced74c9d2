#include "src/ops/dropout.hpp"

#include "kernels/dropout.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::DropoutAttrs>();
  const kernels::DropoutAttributes attributes{attrs.rate, attrs.stream};
  const std::int64_t n = call.outputs[0].shape.elements();
  return own_kernel([=](const Launch& l) {
    kernels::dropout(gpu_of(l), attributes, static_cast<const kernels::StepState*>(l.step),
                     accumulate_of(l, 0), n, l.in(0), l.out(0));
  });
}

Implementation mask(const OpCall& call, const Target&) {
  const ops::DropoutAttrs& attrs = call.attrs_as<ops::DropoutMaskAttrs>().dropout;
  const kernels::DropoutAttributes attributes{attrs.rate, attrs.stream};
  const std::int64_t n = call.outputs[0].shape.elements();
  return own_kernel([=](const Launch& l) {
    kernels::dropout(gpu_of(l), attributes, static_cast<const kernels::StepState*>(l.step),
                     kernels::Accumulate::overwrite, n, nullptr, l.out(0));
  });
}

}  // namespace

void implement_dropout() {
  register_op("dropout", forward);
  register_op("dropout_mask", mask);
}

}  // namespace gpunn::cuda
