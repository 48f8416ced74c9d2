// What the optimizers share: the flat buffers cut into chunks, and those into tasks.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "src/cpu/common.hpp"
#include "src/cpu/simd/denormals.hpp"
#include "src/cpu/simd/dispatch.hpp"
#include "src/ops/global_norm.hpp"
#include "src/ops/segments.hpp"

namespace gpunn::cpu {

// 1 - beta^t. Thousands of steps on nothing is left of the power, and the C library would spend its time on
// an underflow.
inline double one_minus_power(double beta, double t) {
  constexpr double kVanished = -40;  // e^-40 is below half a unit in the last place of 1
  return (beta - 1) * t < kVanished ? 1.0 : 1 - std::pow(beta, t);
}

// Adam's sqrt(1 - beta2^t) / (1 - beta1^t), in double: 1 - beta2^t loses half of float's digits in the first
// steps.
inline double bias_correction(float beta1, float beta2, std::uint64_t step) {
  const auto t = static_cast<double>(step + 1);
  return std::sqrt(one_minus_power(static_cast<double>(beta2), t)) /
         one_minus_power(static_cast<double>(beta1), t);
}

// What an update of one chunk needs to know.
struct Chunk {
  std::int64_t begin = 0, count = 0;
  float learning_rate = 0;
  float gradient_scale = 1;  // with clipping
  float weight_decay = 0;
};

// Small parameters share a task, so that what is the same for all of them (Adam's powers of beta) is worked
// out once: pieces of at most kUpdateChunk elements together, as [first, end) of `chunks`.
inline std::vector<std::pair<std::size_t, std::size_t>> tasks_of(
    const std::vector<ops::UpdateChunk>& chunks) {
  std::vector<std::pair<std::size_t, std::size_t>> tasks;
  std::int64_t elements = 0;
  for (std::size_t k = 0; k < chunks.size(); ++k) {
    elements += chunks[k].count;
    if (tasks.empty() || elements > ops::kUpdateChunk) {
      tasks.push_back({k, k});
      elements = chunks[k].count;
    }
    tasks.back().second = k + 1;
  }
  return tasks;
}

// An implementation that calls prepare(step)(slice, chunk) for every chunk. `norm_input` is read where the
// attributes clip or skip by it.
template <class Attributes, class Prepare>
Implementation update_in_chunks(std::string name, const Attributes& attrs, int norm_input, Prepare prepare) {
  const std::vector<ops::UpdateChunk> chunks = ops::update_chunks(attrs.segments);
  const auto groups = tasks_of(chunks);
  const auto tasks = static_cast<int>(std::max<std::size_t>(groups.size(), 1));
  const auto run = [=, segments = attrs.segments, decay = attrs.weight_decay, clip = attrs.clip_norm,
                    skip = attrs.skip_nonfinite](const Slice& s) {
    if (groups.empty() || (skip && !std::isfinite(s.in(norm_input)[0]))) return;
    float gradient_scale = s.step->gradient_scale;
    if (clip > 0) gradient_scale *= ops::clip_factor(s.in(norm_input)[0], clip);
    const auto update = prepare(*s.step);
    const simd::FlushDenormals flush;
    const auto [first, end] = groups[static_cast<std::size_t>(s.task)];
    for (std::size_t k = first; k < end; ++k) {
      const ops::ParameterSegment& segment = segments[static_cast<std::size_t>(chunks[k].segment)];
      update(s, Chunk{.begin = chunks[k].begin,
                      .count = chunks[k].count,
                      .learning_rate = s.step->learning_rate * segment.learning_rate_factor,
                      .gradient_scale = gradient_scale,
                      .weight_decay = segment.weight_decay ? decay : 0.0f});
    }
  };
  return whole(std::move(name), "all parameters in one pass, in chunks", tasks, run);
}

}  // namespace gpunn::cpu
