#include "gpunn/shape.hpp"

#include <gtest/gtest.h>

#include "gpunn/error.hpp"

namespace gpunn {
namespace {

TEST(Shape, CountsElementsAndIndexesFromBothEnds) {
  const Shape image{32, 28, 14, 3};
  EXPECT_EQ(image.elements(), 32 * 28 * 14 * 3);
  EXPECT_EQ(image[1], 28);
  EXPECT_EQ(image[-1], 3);
  EXPECT_EQ(to_string(image), "[32, 28, 14, 3]");
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{4, 0, 5}).elements(), 0);
  EXPECT_THROW(static_cast<void>(image[4]), ShapeError);
  EXPECT_THROW(static_cast<void>(image[-5]), ShapeError);
  EXPECT_THROW(static_cast<void>(Shape{}[0]), ShapeError);
}

TEST(Shape, RefusesWhatCannotExist) {
  EXPECT_THROW(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW(Shape({3, -1}), ShapeError);
  constexpr std::int64_t big = std::int64_t{1} << 24;
  EXPECT_EQ((Shape{big, big}).elements(), std::int64_t{1} << 48);
  EXPECT_THROW(Shape({big, big, 2}), ShapeError);
  EXPECT_THROW(Shape({4194305, 4194305, 211106198978564}), ShapeError);  // the product wraps to 4
  EXPECT_THROW(Shape({0, big, big, big}), ShapeError);                   // its strides would wrap
  EXPECT_THROW((Shape{big, big}).with_front(2), ShapeError);
  EXPECT_THROW((Shape{1, 2}).with(0, -1), ShapeError);
}

TEST(Shape, ReplacesAddsAndDropsExtents) {
  const Shape s{2, 3};
  EXPECT_EQ(s.with(-1, 7), (Shape{2, 7}));
  EXPECT_EQ(s.with_front(5), (Shape{5, 2, 3}));
  EXPECT_EQ(s.without_front(), Shape{3});
  EXPECT_EQ((Shape{3}).without_front(), Shape{});
  EXPECT_NE(s, (Shape{2, 3, 1}));
  EXPECT_THROW(static_cast<void>(s.with(2, 1)), ShapeError);
  EXPECT_THROW(static_cast<void>(Shape{}.without_front()), ShapeError);
  EXPECT_THROW(static_cast<void>((Shape{1, 1, 1, 1, 1, 1, 1, 1}).with_front(1)), ShapeError);
}

TEST(Shape, BroadcastsLikeNumpy) {
  EXPECT_EQ(broadcast({8, 1, 6, 1}, {7, 1, 5}), (Shape{8, 7, 6, 5}));
  EXPECT_EQ(broadcast({}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast({1}, {0}), Shape{0});
  try {
    static_cast<void>(broadcast({2, 3}, {2, 4}));
    FAIL() << "no exception";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "cannot broadcast [2, 3] with [2, 4]");
  }
}

}  // namespace
}  // namespace gpunn
