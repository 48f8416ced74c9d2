#include "src/cpu/broadcast.hpp"

namespace gpunn::cpu {

BroadcastLoop::BroadcastLoop(const Shape& full, std::initializer_list<Shape> operands) {
  // Strides of the operands along every axis of the full shape: 0 where they are broadcast.
  std::array<Axis, Shape::kMaxRank> axes{};
  for (int a = 0; a < full.rank(); ++a) axes[static_cast<std::size_t>(a)].extent = full[a];
  std::size_t k = 0;
  for (const Shape& operand : operands) {
    std::int64_t stride = 1;
    for (int from_last = 1; from_last <= operand.rank(); ++from_last) {
      const auto a = static_cast<std::size_t>(full.rank() - from_last);
      if (operand[-from_last] != 1) axes[a].stride[k] = stride;
      stride *= operand[-from_last];
    }
    ++k;
  }
  if (full.rank() == 0) return;

  row_stride_ = axes[0].stride;
  for (int a = 1; a < full.rank(); ++a) row_elements_ *= full[a];
  // Axes that every operand walks through evenly become one.
  std::array<Axis, Shape::kMaxRank> merged{};
  int count = 0;
  for (int a = 1; a < full.rank(); ++a) {
    const Axis& axis = axes[static_cast<std::size_t>(a)];
    if (axis.extent == 1) continue;
    if (count > 0) {
      Axis& outer = merged[static_cast<std::size_t>(count - 1)];
      bool even = true;
      for (std::size_t i = 0; i < kOperands; ++i) even &= outer.stride[i] == axis.stride[i] * axis.extent;
      if (even) {
        outer.extent *= axis.extent, outer.stride = axis.stride;
        continue;
      }
    }
    merged[static_cast<std::size_t>(count++)] = axis;
  }
  if (count == 0) return;
  inner_ = merged[static_cast<std::size_t>(count - 1)].extent;
  inner_stride_ = merged[static_cast<std::size_t>(count - 1)].stride;
  axes_ = count - 1;
  axis_ = merged;
  for (int a = 0; a < axes_; ++a) outer_ *= axis_[static_cast<std::size_t>(a)].extent;
}

}  // namespace gpunn::cpu
