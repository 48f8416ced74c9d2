// What the glue of the optimizers has in common: the table of pieces, and clipping.
#pragma once

#include "kernels/optimizers.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/segments.hpp"

namespace gpunn::cuda {

// The segments that are not frozen, cut into pieces for one block each.
inline std::vector<kernels::UpdatePiece> pieces_of(const ops::ParameterSegments& segments,
                                                   float weight_decay) {
  std::vector<kernels::UpdatePiece> pieces;
  for (const ops::UpdateChunk& chunk : ops::update_chunks(segments, ops::kUpdatePiece)) {
    const ops::ParameterSegment& segment = segments[static_cast<std::size_t>(chunk.segment)];
    kernels::UpdatePiece piece;
    piece.begin = chunk.begin;
    piece.count = static_cast<std::int32_t>(chunk.count);
    piece.learning_rate_factor = segment.learning_rate_factor;
    piece.weight_decay = segment.weight_decay ? weight_decay : 0.0f;
    pieces.push_back(piece);
  }
  return pieces;
}

inline kernels::Pieces pieces_in(const Launch& l, std::int64_t count) {
  return {static_cast<const kernels::UpdatePiece*>(l.constants), count};
}

inline kernels::StepState* state_in(const Launch& l) {
  return static_cast<kernels::StepState*>(l.step);
}

}  // namespace gpunn::cuda
