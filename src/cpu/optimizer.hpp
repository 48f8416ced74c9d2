// What the optimizers share: one task for each chunk of the flat buffers.
#pragma once

#include <vector>

#include "src/cpu/common.hpp"
#include "src/cpu/simd/denormals.hpp"
#include "src/cpu/simd/dispatch.hpp"
#include "src/ops/global_norm.hpp"
#include "src/ops/segments.hpp"

namespace gpunn::cpu {

// What an update of one chunk needs to know.
struct Chunk {
  std::int64_t begin = 0, count = 0;
  float learning_rate = 0;
  float gradient_scale = 1;  // with clipping
  float weight_decay = 0;
};

// An implementation that calls update(slice, chunk) for every chunk. `norm_input` is read when clip_norm > 0.
template <class Attributes, class Update>
Implementation update_in_chunks(std::string name, const Attributes& attrs, int norm_input, Update update) {
  const std::vector<ops::UpdateChunk> chunks = ops::update_chunks(attrs.segments);
  const auto tasks = static_cast<int>(std::max<std::size_t>(chunks.size(), 1));
  const auto run = [=, segments = attrs.segments, decay = attrs.weight_decay,
                    clip = attrs.clip_norm](const Slice& s) {
    if (chunks.empty()) return;
    const ops::UpdateChunk& piece = chunks[static_cast<std::size_t>(s.task)];
    const ops::ParameterSegment& segment = segments[static_cast<std::size_t>(piece.segment)];
    Chunk chunk{.begin = piece.begin,
                .count = piece.count,
                .learning_rate = s.step->learning_rate * segment.learning_rate_factor,
                .gradient_scale = s.step->gradient_scale,
                .weight_decay = segment.weight_decay ? decay : 0.0f};
    if (clip > 0) chunk.gradient_scale *= ops::clip_factor(s.in(norm_input)[0], clip);
    update(s, chunk);
  };
  return whole(std::move(name), "all parameters in one pass, in chunks", tasks, run);
}

}  // namespace gpunn::cpu
