#include "src/ops/dropout.hpp"

#include "gpunn/random.hpp"
#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

Implementation dropout(const OpCall& call, const Target&) {
  const auto [rate, stream] = call.attrs_as<ops::DropoutAttrs>();
  const std::int64_t row = ops::row_elements(call.inputs[0].shape);
  const float scale = 1.0f / (1.0f - rate);
  return sliced("philox loop", "four words at a time", [=, rate = rate, stream = stream](const Slice& s) {
    const PhiloxKey key{s.step->seed, stream, static_cast<std::uint32_t>(s.step->step)};
    // Indexes count over the whole batch, so that slices do not matter.
    const auto first = static_cast<std::uint64_t>(s.first * row),
               end = first + static_cast<std::uint64_t>(s.rows * row);
    const float* x = s.in(0);
    float* y = s.out(0);
    for (std::uint64_t block = first / 4; block * 4 < end; ++block) {
      const auto words = philox(key, block);
      for (std::uint64_t i = std::max(first, block * 4); i < std::min(end, block * 4 + 4); ++i) {
        put(y[i - first], uniform01(words[i % 4]) >= rate ? x[i - first] * scale : 0.0f, s.add(0));
      }
    }
  });
}

}  // namespace

void implement_dropout(Registry& registry) {
  registry.add("dropout", dropout);
}

}  // namespace gpunn::cpu
