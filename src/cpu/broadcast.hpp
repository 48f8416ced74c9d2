// Walks a tensor beside up to two others that are broadcast to its shape.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "gpunn/shape.hpp"

namespace gpunn::cpu {

class BroadcastLoop {
 public:
  static constexpr std::size_t kOperands = 2;

  // Shapes with more axes than `full`, or extents that do not broadcast to it, are refused by shape
  // inference.
  BroadcastLoop(const Shape& full, std::initializer_list<Shape> operands);

  // A run along the innermost axis: elements [at, at + count) of the full tensor, and for each operand where
  // its first element is and how far the next (0 or 1).
  struct Run {
    std::int64_t at, count;
    std::array<std::int64_t, kOperands> operand, stride;
  };

  // Calls use(run) for `rows` of the outermost axis, in order. Pointers of operands that have that axis stand
  // at the first of these rows.
  template <class Use>
  void operator()(std::int64_t rows, Use use) const {
    for (std::int64_t row = 0; row < rows; ++row) {
      Run run{.at = row * row_elements_, .count = inner_, .operand = {}, .stride = inner_stride_};
      for (std::size_t k = 0; k < kOperands; ++k) run.operand[k] = row * row_stride_[k];
      std::array<std::int64_t, Shape::kMaxRank> counter{};
      for (std::int64_t left = outer_; left > 0; --left) {
        use(run);
        run.at += inner_;
        advance(counter, run);
      }
    }
  }

 private:
  struct Axis {
    std::int64_t extent = 1;
    std::array<std::int64_t, kOperands> stride{};
  };

  void advance(std::array<std::int64_t, Shape::kMaxRank>& counter, Run& run) const {
    for (int axis = axes_ - 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      for (std::size_t k = 0; k < kOperands; ++k) run.operand[k] += axis_[a].stride[k];
      if (++counter[a] < axis_[a].extent) return;
      for (std::size_t k = 0; k < kOperands; ++k) run.operand[k] -= axis_[a].extent * axis_[a].stride[k];
      counter[a] = 0;
    }
  }

  std::array<Axis, Shape::kMaxRank> axis_{};  // between the outermost and the innermost
  int axes_ = 0;
  std::int64_t outer_ = 1, inner_ = 1, row_elements_ = 1;
  std::array<std::int64_t, kOperands> row_stride_{}, inner_stride_{};
};

}  // namespace gpunn::cpu
