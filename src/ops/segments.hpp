// The table that tells optimizers what lies where in the flat buffers of parameters, gradients and slots.
#pragma once

#include <cstdint>
#include <vector>

#include "gpunn/export.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::ops {

struct ParameterSegment {
  std::int64_t offset = 0;  // elements from the start of the buffer
  std::int64_t count = 0;
  float learning_rate_factor = 1;
  bool weight_decay = true;
  bool frozen = false;  // neither updated nor counted in the global norm: its gradient may be undefined
};

// In order of offset, not overlapping. What lies between segments is padding and never touched.
using ParameterSegments = std::vector<ParameterSegment>;

// Throws ShapeError unless they are in order and inside a buffer of `elements`.
void expect_segments(const OpCall& call, const ParameterSegments& segments, std::int64_t elements);

// What a CPU updates at a time: at most this many elements of one segment.
inline constexpr std::int64_t kUpdateChunk = 16384;
// What a block of a GPU takes. global_norm adds up sums of squares of such pieces on every backend, so it is
// a constant of the format and not of the machine. Longer ones leave multiprocessors idle on small models;
// shorter ones pay for reading the table.
inline constexpr std::int64_t kUpdatePiece = 2048;

struct UpdateChunk {
  std::int64_t segment = 0;  // index into the table
  std::int64_t begin = 0;    // element of the buffer
  std::int64_t count = 0;
};

// The segments that are not frozen, cut into chunks of at most `most` elements.
GPUNN_API std::vector<UpdateChunk> update_chunks(const ParameterSegments& segments,
                                                 std::int64_t most = kUpdateChunk);

}  // namespace gpunn::ops
