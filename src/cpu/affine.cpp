#include "src/ops/affine.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

template <class In>
Implementation elementwise(const OpCall& call) {
  const std::int64_t row = ops::row_elements(call.inputs[0].shape);
  const auto [scale, offset] = call.attrs_as<ops::AffineAttrs>();
  return sliced("loop", "one pass over memory", [=, scale = scale, offset = offset](const Slice& s) {
    const In* x = s.in<In>(0);
    float* y = s.out(0);
    const std::int64_t n = s.rows * row;
    if (s.add(0)) {
      for (std::int64_t i = 0; i < n; ++i) y[i] += static_cast<float>(x[i]) * scale + offset;
    } else {
      for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]) * scale + offset;
    }
  });
}

Implementation affine(const OpCall& call, const Target&) {
  return call.inputs[0].dtype == Dtype::u8 ? elementwise<std::uint8_t>(call) : elementwise<float>(call);
}

}  // namespace

void implement_affine(Registry& registry) {
  registry.add("affine", affine);
}

}  // namespace gpunn::cpu
