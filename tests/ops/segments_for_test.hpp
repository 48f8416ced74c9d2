// A flat buffer as optimizers meet it: three segments with padding between, one slower, one frozen.
#pragma once

#include "src/ops/segments.hpp"

namespace gpunn::testing {

inline constexpr std::int64_t kFlatElements = 40000;

inline ops::ParameterSegments some_segments() {
  return {{.offset = 0, .count = 33},
          {.offset = 48, .count = 5, .learning_rate_factor = 0.1f, .weight_decay = false},
          {.offset = 64, .count = 17, .frozen = true},
          {.offset = 96, .count = 2 * ops::kUpdateChunk + 1}};
}

}  // namespace gpunn::testing
