#include "gpunn/tensor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "src/core/host_memory.hpp"

namespace gpunn {
namespace {

template <class T>
std::vector<T> values(const Tensor& tensor) {
  const auto data = tensor.data<T>();
  return {data.begin(), data.end()};
}

TEST(Tensor, IsZeroAlignedAndShared) {
  Tensor a({3, 5}, Dtype::i32);
  EXPECT_EQ(values<std::int32_t>(a), std::vector<std::int32_t>(15, 0));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.bytes()) % 64, 0u);
  Tensor same = a, own = a.clone();
  a.data<std::int32_t>()[7] = 9;
  EXPECT_EQ(same.data<std::int32_t>()[7], 9);
  EXPECT_EQ(own.data<std::int32_t>()[7], 0);
  EXPECT_THROW(static_cast<void>(a.data<float>()), UsageError);

  const Tensor nothing;
  EXPECT_EQ(nothing.shape(), Shape{0});
  EXPECT_EQ(nothing.size_bytes(), 0u);
  EXPECT_EQ(nothing.clone().elements(), 0);
  EXPECT_EQ(Tensor(Shape{}).elements(), 1);
  EXPECT_EQ(Tensor({0, 4}).rows(0, 0).shape(), (Shape{0, 4}));
}

TEST(Tensor, ViewsShareElements) {
  Tensor a = Tensor::of({4, 2}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7});
  Tensor middle = a.rows(1, 3);
  EXPECT_EQ(values<float>(middle), (std::vector<float>{2, 3, 4, 5}));
  middle.data<float>()[0] = -1;
  EXPECT_EQ(a.data<float>()[2], -1);
  EXPECT_EQ(values<float>(a.reshape({2, 2, 2}).rows(1, 2)), (std::vector<float>{4, 5, 6, 7}));
  EXPECT_THROW(a.reshape({3, 3}), ShapeError);
  EXPECT_THROW(a.rows(0, 5), ShapeError);
  EXPECT_THROW(a.rows(3, 2), ShapeError);
  EXPECT_THROW(a.rows(-1, 2), ShapeError);
  EXPECT_THROW(Tensor(Shape{}).rows(0, 1), ShapeError);
}

TEST(Tensor, BorrowsWithoutCopying) {
  const std::vector<double> mine{1, 2, 3};
  const std::int64_t blocks = live_host_blocks();
  const Tensor borrowed = Tensor::borrow({3}, Dtype::f64, mine.data());
  EXPECT_EQ(live_host_blocks(), blocks);
  EXPECT_EQ(borrowed.data<double>().data(), mine.data());
  EXPECT_THROW(Tensor::borrow({3}, Dtype::f64, nullptr), UsageError);
  EXPECT_EQ(Tensor::borrow({0}, Dtype::f64, nullptr).elements(), 0);
}

TEST(Tensor, AWrongNumberOfValuesNamesTheCaller) {
  const int line = __LINE__ + 2;
  try {
    static_cast<void>(Tensor::of({2, 2}, std::vector<float>{1, 2, 3}));
    FAIL() << "no exception";
  } catch (const ShapeError& error) {
    EXPECT_EQ(error.what(), "tensor_test.cpp:" + std::to_string(line) +
                                ": tensor: 3 values for shape [2, 2], which holds 4");
    EXPECT_EQ(error.where().line, line);
  }
}

TEST(Tensor, ConvertsBetweenAllDtypes) {
  const std::vector<float> numbers{0, 1, 2, 100};  // exact in every dtype but bool
  const Tensor source = Tensor::of({4}, numbers);
  for (const Dtype dtype :
       {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i32, Dtype::i64, Dtype::u8, Dtype::boolean}) {
    for (const Dtype then :
         {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i32, Dtype::i64, Dtype::u8}) {
      const Tensor there = source.to(dtype).to(then);
      EXPECT_EQ(there.dtype(), then);
      const auto want = dtype == Dtype::boolean ? std::vector<float>{0, 1, 1, 1} : numbers;
      EXPECT_EQ(values<float>(there.to(Dtype::f32)), want) << to_string(dtype) << " " << to_string(then);
    }
  }
  EXPECT_EQ(source.to(Dtype::f32).bytes(), source.bytes());
}

TEST(Tensor, ConvertsOnlyWhatFits) {
  const auto to = [](double x, Dtype dtype) { return Tensor::of({1}, std::vector<double>{x}).to(dtype); };
  EXPECT_EQ(to(-1, Dtype::i32).data<std::int32_t>()[0], -1);
  EXPECT_EQ(to(255, Dtype::u8).data<std::uint8_t>()[0], 255);
  EXPECT_EQ(to(-0.0, Dtype::u8).data<std::uint8_t>()[0], 0);
  EXPECT_EQ(to(-0x1p63, Dtype::i64).data<std::int64_t>()[0], std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(to(1e300, Dtype::f32).data<float>()[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(to(NAN, Dtype::boolean).bytes()[0], std::byte{1});
  for (const auto& [x, dtype] : {std::pair{256.0, Dtype::u8},
                                 {-1.0, Dtype::u8},
                                 {-0.9, Dtype::u8},
                                 {255.9, Dtype::u8},
                                 {3.7, Dtype::i32},
                                 {-1.5, Dtype::i64},
                                 {0x1p31, Dtype::i32},
                                 {0x1p63, Dtype::i64},
                                 {-0x1.1p63, Dtype::i64},
                                 {double{NAN}, Dtype::i32}}) {
    EXPECT_THROW(to(x, dtype), DataError) << x;
  }
  EXPECT_THROW(Tensor::of({1}, std::vector<std::int64_t>{-1}).to(Dtype::u8), DataError);
  EXPECT_THROW(Tensor::of({1}, std::vector<std::int64_t>{std::int64_t{1} << 40}).to(Dtype::i32), DataError);

  Tensor odd({1}, Dtype::boolean);
  odd.bytes()[0] = std::byte{2};  // no bool, but a file may hold it
  EXPECT_EQ(odd.to(Dtype::i32).data<std::int32_t>()[0], 2);
}

TEST(Tensor, TooLargeIsOutOfMemory) {
  EXPECT_THROW(Tensor({std::int64_t{1} << 48}, Dtype::f64), OutOfMemory);
  EXPECT_THROW(Tensor({std::int64_t{1} << 62}, Dtype::f64), ShapeError);  // its bytes would wrap to 0
  const std::int64_t blocks = live_host_blocks();
  {
    const HostMemoryFault fault(2);
    const Tensor first(Shape{8});
    EXPECT_THROW(first.clone(), OutOfMemory);
    EXPECT_EQ(first.clone().elements(), 8);
  }
  EXPECT_EQ(live_host_blocks(), blocks);
}

}  // namespace
}  // namespace gpunn
