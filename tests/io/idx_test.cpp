#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "gpunn/data.hpp"
#include "src/core/host_memory.hpp"
#include "src/io/file.hpp"
#include "tests/io/numbered_dataset.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.data<T>().begin(), tensor.data<T>().end()};
}

std::string extent(std::uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}

class IdxTest : public testing::Test {
 protected:
  Tensor read(std::string_view content) {
    write_file(dir / "file", content);
    return data::idx(dir / "file");
  }
  std::string error(std::string_view content) {
    return message_of<DataError>([&] { read(content); });
  }
  TempDir dir;
};

TEST_F(IdxTest, ReadsEveryElementType) {
  EXPECT_EQ(values<std::uint8_t>(read("\0\0\x08\x02"s + extent(2) + extent(3) + "\1\2\3\4\5\xFF")),
            (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 255}));
  EXPECT_EQ(read("\0\0\x08\x02"s + extent(2) + extent(3) + "123456").shape(), (Shape{2, 3}));
  EXPECT_EQ(values<std::int32_t>(read("\0\0\x09\x01"s + extent(3) + "\1\x80\xFF")),
            (std::vector<std::int32_t>{1, -128, -1}));
  EXPECT_EQ(values<std::int32_t>(read("\0\0\x0B\x01"s + extent(3) + "\1\2\x80\0\xFF\xFE"s)),
            (std::vector<std::int32_t>{258, -32768, -2}));
  EXPECT_EQ(values<std::int32_t>(read("\0\0\x0C\x01"s + extent(1) + "\1\2\3\4")),
            std::vector<std::int32_t>{0x01020304});
  EXPECT_EQ(values<float>(read("\0\0\x0D\x01"s + extent(1) + "\x3F\xC0\0\0"s)), std::vector<float>{1.5f});
  EXPECT_EQ(values<double>(read("\0\0\x0E\x00"s + "\xBF\xF8\0\0\0\0\0\0"s)), std::vector<double>{-1.5});
  EXPECT_EQ(read("\0\0\x08\x02"s + extent(0) + extent(7)).shape(), (Shape{0, 7}));
}

TEST_F(IdxTest, ReadsGzipInOneOrManyParts) {
  std::string text = "\0\0\x08\x01"s + extent(100'000);
  for (unsigned i = 0; i < 100'000; ++i) text += static_cast<char>(i * i >> 3);
  const auto plain = values<std::uint8_t>(read(text));
  EXPECT_EQ(values<std::uint8_t>(read(gzip(text))), plain);
  EXPECT_EQ(values<std::uint8_t>(read(gzip(text.substr(0, 3)) + gzip("") + gzip(text.substr(3)))), plain);
}

TEST_F(IdxTest, WhatItWritesItReads) {
  const Tensor tensor = Tensor::of({2, 2}, std::vector<double>{1.5, -2, 1e300, 0});
  for (const Dtype dtype : {Dtype::u8, Dtype::i32, Dtype::f32, Dtype::f64}) {
    const Tensor written = Tensor::of({2, 1, 2}, std::vector<std::int32_t>{1, 2, 3, 250}).to(dtype);
    data::save_idx(written, dir / "out");
    const Tensor back = data::idx(dir / "out");
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), written.shape());
    EXPECT_EQ(std::memcmp(back.bytes(), written.bytes(), back.size_bytes()), 0);
  }
  data::save_idx(tensor, dir / "out");
  EXPECT_EQ(values<double>(data::idx(dir / "out")), values<double>(tensor));
  EXPECT_EQ(values<double>(tensor)[0], 1.5);  // the caller's elements are not swapped
  EXPECT_THROW(data::save_idx(tensor.to(Dtype::f32).to(Dtype::f16), dir / "out"), UsageError);
  EXPECT_EQ(dir.names(), std::vector<std::string>{"out"});
}

TEST_F(IdxTest, RefusesEveryTruncationAndAnyExcess) {
  const std::string text = "\0\0\x08\x02"s + extent(3) + extent(5) + "123456789abcdef";
  const std::string packed = gzip(text);
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_THAT(error(text.substr(0, length)), HasSubstr((dir / "file").string())) << length;
  }
  for (std::size_t length = 2; length < packed.size(); ++length) {
    EXPECT_THAT(error(packed.substr(0, length)), HasSubstr("gzip stream")) << length;
  }
  EXPECT_THAT(error(text + "x"), HasSubstr("longer than"));
  EXPECT_THAT(error(packed + "garbage"), HasSubstr("broken gzip stream"));
  EXPECT_THAT(error(gzip(text + "x")), HasSubstr("longer than"));
  std::string damaged = packed;
  damaged[damaged.size() - 6] ^= 1;  // in the member's checksum
  EXPECT_THAT(error(damaged), HasSubstr("broken gzip stream"));
}

TEST_F(IdxTest, RefusesHostileHeaders) {
  EXPECT_THAT(error("\0\1\x08\x01"s + extent(1) + "x"), HasSubstr("not an IDX file"));
  EXPECT_THAT(error("\0\0\x07\x01"s + extent(1) + "x"), HasSubstr("not an IDX file"));
  std::string nine = "\0\0\x08\x09"s;
  for (int i = 0; i < 9; ++i) nine += extent(1);
  EXPECT_THAT(error(nine + "x"), HasSubstr("9 extents"));
  const std::int64_t blocks = live_host_blocks();
  const HostMemoryFault watch(0);
  // A terabyte from 30 bytes; extents whose product wraps around 2^64; both before any memory is asked for.
  EXPECT_THAT(error("\0\0\x08\x02"s + extent(1 << 20) + extent(1 << 20) + "x"), HasSubstr("too short"));
  EXPECT_THAT(error("\0\0\x08\x03"s + extent(~0u) + extent(~0u) + extent(~0u)),
              HasSubstr("too many elements"));
  EXPECT_THAT(error(gzip("\0\0\x08\x02"s + extent(1 << 20) + extent(1 << 20) + "x")), HasSubstr("too short"));
  EXPECT_EQ(watch.requests(), 0);
  EXPECT_EQ(live_host_blocks(), blocks);
}

TEST_F(IdxTest, AGzipBombIsReadNoFurtherThanItsHeaderSays) {
  const std::string bomb = gzip("\0\0\x08\x01"s + extent(10) + std::string(8 << 20, 'x'));
  ASSERT_LT(bomb.size(), 20'000u);
  const HostMemoryFault watch(0);
  EXPECT_THAT(error(bomb), HasSubstr("longer than"));
  EXPECT_EQ(watch.requests(), 1);  // the ten bytes
}

TEST_F(IdxTest, SystemErrorsNameTheFile) {
  EXPECT_THAT(message_of<FileError>([&] { data::idx(dir / "none"); }), HasSubstr("none: No such file"));
  EXPECT_THAT(message_of<FileError>([&] { data::idx(dir.path()); }), HasSubstr("Is a directory"));
  write_file(dir / "file", gzip("\0\0\x08\x01"s + extent(5) + "12345"));
  for (std::int64_t k = 1;; ++k) {
    const io::FileFault fault(k, EIO);
    try {
      data::idx(dir / "file");
      EXPECT_GT(k, 3);  // open, the first bytes, the rest
      break;
    } catch (const FileError& error) {
      EXPECT_THAT(error.what(), HasSubstr("Input/output error"));
    }
    ASSERT_LT(k, 20);
  }
  const io::FileFault interrupted(2, EINTR);
  EXPECT_EQ(data::idx(dir / "file").elements(), 5);
}

class MnistTest : public IdxTest {
 protected:
  void SetUp() override {
    for (const std::string part : {"train", "t10k"}) {
      write_file(dir / (part + "-images-idx3-ubyte"),
                 "\0\0\x08\x03"s + extent(2) + extent(2) + extent(1) + "\0\x33\x66\xFF"s);
      write_file(dir / (part + "-labels-idx1-ubyte.gz"), gzip("\0\0\x08\x01"s + extent(2) + "\7\2"));
    }
  }
};

TEST_F(MnistTest, DeliversImagesBetweenZeroAndOneAndLabels) {
  const auto [train, test] = data::mnist(dir.path());
  EXPECT_EQ(train->size(), 2);
  EXPECT_EQ(train->inputs().at(0).shape, (Shape{2, 1, 1}));
  EXPECT_EQ(train->inputs().at(0).dtype, Dtype::u8);
  EXPECT_EQ(train->inputs().at(0).scale, 1.0f / 255);
  EXPECT_EQ(train->targets().at(0).shape, Shape{});
  EXPECT_EQ(values<std::int32_t>(test->resident()[1]), (std::vector<std::int32_t>{7, 2}));
  EXPECT_EQ(data::fashion_mnist(dir.path()).test->size(), 2);
}

TEST_F(MnistTest, RefusesWhatDoesNotFitTogether) {
  const auto error = [this] { return message_of<DataError>([this] { data::mnist(dir.path()); }); };
  std::filesystem::remove(dir / "t10k-labels-idx1-ubyte.gz");
  EXPECT_THAT(error(), HasSubstr("no file t10k-labels-idx1-ubyte[.gz] in " + dir.path().string()));
  write_file(dir / "t10k-labels-idx1-ubyte", "\0\0\x08\x01"s + extent(3) + "\7\2\1");
  EXPECT_THAT(error(), HasSubstr("3"));
  write_file(dir / "t10k-labels-idx1-ubyte", "\0\0\x08\x01"s + extent(2) + "\7\x0A");
  EXPECT_THAT(error(), HasSubstr("label 10 of sample 1"));
  write_file(dir / "t10k-labels-idx1-ubyte", "\0\0\x08\x02"s + extent(2) + extent(1) + "\7\1");
  EXPECT_THAT(error(), HasSubstr("[2, 1]"));
}

}  // namespace
}  // namespace gpunn
