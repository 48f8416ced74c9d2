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
  for (const ops::ParameterSegment& segment : segments) {
    if (segment.frozen) continue;
    for (std::int64_t at = 0; at < segment.count; at += kernels::kUpdatePiece) {
      kernels::UpdatePiece piece;
      piece.begin = segment.offset + at;
      piece.count =
          static_cast<std::int32_t>(std::min<std::int64_t>(kernels::kUpdatePiece, segment.count - at));
      piece.learning_rate_factor = segment.learning_rate_factor;
      piece.weight_decay = segment.weight_decay ? weight_decay : 0.0f;
      pieces.push_back(piece);
    }
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
