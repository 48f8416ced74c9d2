#include "src/ops/chain.hpp"

#include "src/cpu/binary.hpp"
#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

using ops::Binary;
using ops::ChainStep;

constexpr std::int64_t kBlock =
    1024;  // elements that go through all steps while they are in the nearest cache

// The part of an operand that belongs to a block: where it lies as it is, else gathered from a constant that
// is repeated every `period` elements.
const float* part_of(const float* operand, std::int64_t period, std::int64_t first, std::int64_t n,
                     float* space) {
  if (period == 0) return operand + first;
  for (std::int64_t i = 0, at = first % period; i < n; ++i) {
    space[i] = operand[at];
    if (++at == period) at = 0;
  }
  return space;
}

void apply(const ChainStep& step, std::int64_t n, const float* operand, float* v) {
  const auto& kernels = simd::kernels();
  switch (step.kind) {
    case ChainStep::Kind::binary:
      if (step.binary == Binary::add) return kernels.elementwise.add(n, v, operand, v);
      if (step.binary == Binary::multiply) return kernels.elementwise.multiply(n, v, operand, v);
      return with_value(step.binary, [&](auto value) {
        for (std::int64_t i = 0; i < n; ++i) v[i] = value(v[i], operand[i]);
      });
    case ChainStep::Kind::activation:
      return kernels.activation.forward(to_simd(step.activation), n, v, v);
    case ChainStep::Kind::slope:
      return kernels.activation.backward(to_simd(step.activation), n, operand, v, v, false);
    case ChainStep::Kind::affine:
      for (std::int64_t i = 0; i < n; ++i) v[i] = v[i] * step.affine.scale + step.affine.offset;
      return;
  }
}

Implementation chain(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::ChainAttrs>();
  const std::int64_t row = ops::row_elements(call.inputs[0].shape);
  const bool batched = (call.batched & 1u) != 0;
  std::vector<std::int64_t> periods;  // of the inputs; 0: shaped like x
  for (std::size_t k = 0; k < call.inputs.size(); ++k) {
    const bool like_x = !batched || (call.batched >> k & 1u) != 0;
    periods.push_back(like_x ? 0 : call.inputs[k].shape.elements());
  }
  const auto run = [row, periods, steps = attrs.steps](const Slice& s) {
    alignas(64) float block[kBlock], space[kBlock];
    const bool add = s.add(0);
    for (std::int64_t first = 0; first < s.rows * row; first += kBlock) {
      const std::int64_t n = std::min(kBlock, s.rows * row - first);
      float* v = add ? block : s.out(0) + first;
      std::copy_n(s.in(0) + first, n, v);
      for (const ChainStep& step : steps) {
        const auto k = static_cast<std::size_t>(std::max(step.operand, 0));
        const float* operand =
            step.operand < 0 ? nullptr : part_of(s.in(step.operand), periods[k], first, n, space);
        apply(step, n, operand, v);
      }
      if (add) simd::kernels().elementwise.axpy(n, 1.0f, block, s.out(0) + first);
    }
  };
  return sliced("simd chain", ops::to_string(attrs) + " in one pass", run);
}

}  // namespace

void implement_chain(Registry& registry) {
  registry.add("chain", chain);
}

}  // namespace gpunn::cpu
