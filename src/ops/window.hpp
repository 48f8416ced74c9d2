// Windows that slide over images: what convolutions and pools share.
#pragma once

#include <cstdint>

#include "gpunn/graph.hpp"

namespace gpunn::ops {

struct Size2d {
  std::int64_t height = 1;
  std::int64_t width = 1;
  friend bool operator==(const Size2d&, const Size2d&) = default;
};

struct Padding2d {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  friend bool operator==(const Padding2d&, const Padding2d&) = default;
};

struct Window2d {
  Size2d size = {};
  Size2d strides = {};
  Padding2d padding = {};
  Size2d dilation = {};
};

// Keras's padding="same": the output has ceil(input / stride) positions; an odd row or column of padding goes
// to the bottom or right.
Padding2d same_padding(Size2d input, Size2d size, Size2d strides, Size2d dilation = {});

// How many positions the window takes; throws ShapeError (through expects) unless it fits at least once.
Size2d window_positions(const OpCall& call, Size2d input, const Window2d& window);

}  // namespace gpunn::ops
