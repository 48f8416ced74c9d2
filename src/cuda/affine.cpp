#include "src/ops/affine.hpp"

#include "kernels/elementwise.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::AffineAttrs>();
  const kernels::Affine by{attrs.scale, attrs.offset};
  const std::int64_t n = call.outputs[0].shape.elements();
  const bool bytes = call.inputs[0].dtype == Dtype::u8;
  return own_kernel([=](const Launch& l) {
    if (bytes) {
      kernels::affine(gpu_of(l), by, accumulate_of(l, 0), n, l.in<std::uint8_t>(0), l.out(0));
    } else {
      kernels::affine(gpu_of(l), by, accumulate_of(l, 0), n, l.in(0), l.out(0));
    }
  });
}

}  // namespace

void implement_affine() {
  register_op("affine", forward);
}

}  // namespace gpunn::cuda
