// Shapes: up to eight extents, outermost first. An empty shape is a scalar.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "gpunn/export.hpp"

namespace gpunn {

class GPUNN_API Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t>
            extents);  // throws ShapeError: rank over 8, negative extent, element count over 2^48
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  // Negative indexes count from the end, as in Keras: shape[-1] is the channels.
  std::int64_t operator[](int axis) const;  // throws ShapeError when out of range
  std::int64_t elements() const;            // 1 for a scalar
  std::span<const std::int64_t> extents() const { return {extents_.data(), static_cast<std::size_t>(rank_)}; }

  Shape with(int axis, std::int64_t extent) const;  // the same, one extent replaced
  Shape without_front() const;                      // [batch, ...] -> [...]; throws ShapeError on a scalar
  Shape with_front(std::int64_t extent) const;      // [...] -> [extent, ...]

  friend GPUNN_API bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

GPUNN_API std::string to_string(const Shape& shape);  // "[32, 28, 28, 1]"

// The shape both broadcast to by numpy's rules; throws ShapeError naming both.
GPUNN_API Shape broadcast(const Shape& a, const Shape& b);

}  // namespace gpunn
