#include "src/ops/activation.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kWhy = "vectorised";

Implementation forward(const OpCall& call, const Target&) {
  const auto kind = to_simd(call.attrs_as<ops::ActivationAttrs>().kind);
  const std::int64_t row = ops::row_elements(call.inputs[0].shape);
  return sliced("simd activation", kWhy, [kind, row](const Slice& s) {
    simd::kernels().activation.forward(kind, s.rows * row, s.in(0), s.out(0));
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const auto kind = to_simd(call.attrs_as<ops::ActivationAttrs>().kind);
  const std::int64_t row = ops::row_elements(call.inputs[1].shape);
  const int kept = simd::slope_from_output(kind) ? 0 : 2;
  return sliced("simd activation", kWhy, [kind, row, kept](const Slice& s) {
    simd::kernels().activation.backward(kind, s.rows * row, s.in(kept), s.in(1), s.out(0), s.add(0));
  });
}

}  // namespace

void implement_activation(Registry& registry) {
  registry.add("activation", forward);
  registry.add("activation_backward", backward);
}

}  // namespace gpunn::cpu
