#include "src/ops/segments.hpp"

#include <algorithm>

namespace gpunn::ops {

void expect_segments(const OpCall& call, const ParameterSegments& segments, std::int64_t elements) {
  std::int64_t end = 0;
  for (const ParameterSegment& segment : segments) {
    expects(segment.offset >= end && segment.count >= 0 && segment.count <= elements - segment.offset, call,
            "segments must be in order, apart, and inside the buffer");
    end = segment.offset + segment.count;
  }
}

std::vector<UpdateChunk> update_chunks(const ParameterSegments& segments, std::int64_t most) {
  std::vector<UpdateChunk> chunks;
  for (std::size_t s = 0; s < segments.size(); ++s) {
    if (segments[s].frozen) continue;
    for (std::int64_t done = 0; done < segments[s].count; done += most) {
      chunks.push_back({.segment = static_cast<std::int64_t>(s),
                        .begin = segments[s].offset + done,
                        .count = std::min(most, segments[s].count - done)});
    }
  }
  return chunks;
}

}  // namespace gpunn::ops
