#include "src/ops/window.hpp"

#include <algorithm>

namespace gpunn::ops {
namespace {

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;  // of the numbers of a window

struct Axis {
  std::int64_t size, stride, dilation;
  std::int64_t reach() const { return (size - 1) * dilation + 1; }
};

struct Ends {
  std::int64_t before, after;
};

Ends same(std::int64_t extent, const Axis& axis) {
  if (extent == 0) return {0, 0};
  const std::int64_t positions = (extent + axis.stride - 1) / axis.stride;
  const std::int64_t total = std::max<std::int64_t>((positions - 1) * axis.stride + axis.reach() - extent, 0);
  return {total / 2, total - total / 2};
}

std::int64_t positions(const OpCall& call, std::int64_t extent, const Axis& axis, Ends padding) {
  expects(axis.size >= 1 && axis.stride >= 1 && axis.dilation >= 1, call,
          "window, strides and dilation must be at least 1");
  expects(axis.size <= kMost && axis.stride <= kMost && axis.dilation <= kMost, call,
          "window, strides and dilation must be below 2^31");
  expects(padding.before >= 0 && padding.after >= 0, call, "padding must not be negative");
  // same and causal padding may be as large as the window reaches.
  expects(padding.before <= kMost * kMost && padding.after <= kMost * kMost - padding.before, call,
          "the padding is too large");
  const std::int64_t room = extent + padding.before + padding.after - axis.reach();
  expects(room >= 0, call, "the window does not fit into the padded input");
  return room / axis.stride + 1;
}

}  // namespace

Padding2d same_padding(Size2d input, Size2d size, Size2d strides, Size2d dilation) {
  const Ends rows = same(input.height, {size.height, strides.height, dilation.height});
  const Ends columns = same(input.width, {size.width, strides.width, dilation.width});
  return {.top = rows.before, .bottom = rows.after, .left = columns.before, .right = columns.after};
}

Size2d window_positions(const OpCall& call, Size2d input, const Window2d& window) {
  const auto& [size, strides, padding, dilation] = window;
  return {positions(call, input.height, {size.height, strides.height, dilation.height},
                    {padding.top, padding.bottom}),
          positions(call, input.width, {size.width, strides.width, dilation.width},
                    {padding.left, padding.right})};
}

}  // namespace gpunn::ops
