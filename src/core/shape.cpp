#include "gpunn/shape.hpp"

#include <algorithm>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// More than any memory holds, and so few that bytes and sums of them cannot overflow 64 bits.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;

std::string list(std::span<const std::int64_t> extents) {
  std::string text = "[";
  for (std::size_t i = 0; i < extents.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return text + "]";
}

}  // namespace

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  if (extents.size() > kMaxRank) {
    throw ShapeError(cat("shape: ", extents.size(), " extents, but at most ", kMaxRank, " are possible"));
  }
  std::int64_t product = 1;  // of the extents that are not 0, so that strides cannot overflow either
  for (const std::int64_t extent : extents) {
    if (extent < 0) throw ShapeError(cat("shape: negative extent in ", list(extents)));
    if (extent == 0) continue;
    if (extent > kMaxElements / product) throw ShapeError(cat("shape: too many elements in ", list(extents)));
    product *= extent;
  }
  std::copy(extents.begin(), extents.end(), extents_.begin());
  rank_ = static_cast<int>(extents.size());
}

std::int64_t Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  if (index < 0 || index >= rank_) throw ShapeError(cat("shape ", *this, " has no axis ", axis));
  return extents_[static_cast<std::size_t>(index)];
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : extents()) {
    if (extent == 0) return 0;
    product *= extent;
  }
  return product;
}

Shape Shape::with(int axis, std::int64_t extent) const {
  static_cast<void>((*this)[axis]);  // throws for an axis that is not there
  std::array<std::int64_t, kMaxRank> changed = extents_;
  changed[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)] = extent;
  return Shape(std::span<const std::int64_t>(changed.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::without_front() const {
  if (rank_ == 0) throw ShapeError("shape: a scalar has no first extent to drop");
  return Shape(extents().subspan(1));
}

Shape Shape::with_front(std::int64_t extent) const {
  if (rank_ == kMaxRank) throw ShapeError(cat("shape ", *this, " already has ", kMaxRank, " extents"));
  std::array<std::int64_t, kMaxRank> longer{extent};
  std::copy(extents_.begin(), extents_.begin() + rank_, longer.begin() + 1);
  return Shape(std::span<const std::int64_t>(longer.data(), static_cast<std::size_t>(rank_) + 1));
}

bool operator==(const Shape& a, const Shape& b) {
  return std::ranges::equal(a.extents(), b.extents());
}

std::string to_string(const Shape& shape) {
  return list(shape.extents());
}

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int axis = 1; axis <= rank; ++axis) {  // from the last
    const std::int64_t of_a = axis <= a.rank() ? a[-axis] : 1;
    const std::int64_t of_b = axis <= b.rank() ? b[-axis] : 1;
    if (of_a != of_b && of_a != 1 && of_b != 1) throw ShapeError(cat("cannot broadcast ", a, " with ", b));
    extents[static_cast<std::size_t>(rank - axis)] = of_a == 1 ? of_b : of_a;
  }
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(rank)));
}

}  // namespace gpunn
