#include "src/ops/dropout.hpp"

#include "src/cpu/common.hpp"
#include "src/cpu/simd/dispatch.hpp"

namespace gpunn::cpu {
namespace {

Implementation dropout(const OpCall& call, const Target&) {
  const auto [rate, stream] = call.attrs_as<ops::DropoutAttrs>();
  const std::int64_t row = ops::row_elements(call.inputs[0].shape);
  return sliced("simd philox", "counters of the whole batch",
                [=, rate = rate, stream = stream](const Slice& s) {
                  const PhiloxKey key{s.step->seed, stream, static_cast<std::uint32_t>(s.step->step)};
                  // Indexes count over the whole batch, so that slices do not matter.
                  simd::kernels().random.dropout(key, static_cast<std::uint64_t>(s.first * row), rate,
                                                 s.rows * row, s.in(0), s.out(0), s.add(0));
                });
}

Implementation dropout_mask(const OpCall& call, const Target&) {
  const auto attrs = call.attrs_as<ops::DropoutMaskAttrs>();
  const std::int64_t row = attrs.row.elements();
  return sliced("simd philox", "counters of the whole batch", [=](const Slice& s) {
    const auto& [rate, stream] = attrs.dropout;
    const PhiloxKey key{s.step->seed, stream, static_cast<std::uint32_t>(s.step->step)};
    std::fill_n(s.out(0), s.rows * row, 1.0f);
    simd::kernels().random.dropout(key, static_cast<std::uint64_t>(s.first * row), rate, s.rows * row,
                                   s.out(0), s.out(0), false);
  });
}

}  // namespace

void implement_dropout(Registry& registry) {
  registry.add("dropout", dropout);
  registry.add("dropout_mask", dropout_mask);
}

}  // namespace gpunn::cpu
