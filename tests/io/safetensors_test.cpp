#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <numeric>
#include <random>

#include "gpunn/io.hpp"
#include "src/core/host_memory.hpp"
#include "src/io/crc32c.hpp"
#include "src/io/file.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using io::NamedTensor;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.size_bytes() == 0 || std::memcmp(a.bytes(), b.bytes(), a.size_bytes()) == 0);
}

std::vector<NamedTensor> one_of_each() {
  std::vector<NamedTensor> tensors;
  for (const Dtype dtype :
       {Dtype::boolean, Dtype::u8, Dtype::bf16, Dtype::f16, Dtype::f32, Dtype::i32, Dtype::f64, Dtype::i64}) {
    tensors.push_back(
        {"t/" + std::string(to_string(dtype)), Tensor::of({3}, std::vector<float>{0, 1, 7}).to(dtype)});
  }
  tensors.push_back({"scalar", Tensor::of({}, std::vector<float>{2.5f})});
  tensors.push_back({"empty", Tensor({3, 0, 2})});
  tensors.push_back({"\"quotes\", \xC3\xA9, \n and \\", Tensor::of({1, 2}, std::vector<float>{1, 2})});
  return tensors;
}

// The bytes of a file with this header; the length prefix is right unless given.
std::string file_of(const std::string& header, std::size_t payload = 0) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(payload, '\0');
}

class SafetensorsTest : public testing::Test {
 protected:
  io::SafetensorsFile load(std::string_view content) {
    write_file(dir / "f.safetensors", content);
    return io::load_safetensors(dir / "f.safetensors");
  }
  std::string error(std::string_view content) {
    const std::string message = message_of<DataError>([&] { load(content); });
    EXPECT_THAT(message, HasSubstr("f.safetensors: "));
    return message;
  }
  std::string saved(const std::vector<NamedTensor>& tensors, const io::Metadata& metadata = {}) {
    io::save_safetensors(dir / "saved", tensors, metadata);
    return read_file(dir / "saved");
  }
  TempDir dir;
};

TEST_F(SafetensorsTest, WhatItWritesItReads) {
  const auto tensors = one_of_each();
  const io::Metadata metadata{{"format", "pt"}, {"step", "12"}, {"note", "\"\xC3\xA9\n"}};
  const io::SafetensorsFile file = load(saved(tensors, metadata));
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const NamedTensor& named : tensors) {
    const Tensor* found = file.find(named.name);
    ASSERT_NE(found, nullptr) << named.name;
    EXPECT_TRUE(same(*found, named.tensor)) << named.name;
  }
  EXPECT_EQ(file.find("other"), nullptr);
  EXPECT_TRUE(load(saved({})).tensors.empty());
  EXPECT_EQ(dir.names(), (std::vector<std::string>{"f.safetensors", "saved"}));
}

TEST_F(SafetensorsTest, EveryTensorLiesAligned) {
  const std::string bytes = saved(one_of_each());
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  // f64, i64 first, then the 4-byte ones, and so on; within a size as passed.
  std::vector<std::string> names;
  for (const NamedTensor& named : load(bytes).tensors) names.push_back(named.name.substr(0, 6));
  EXPECT_THAT(names, ElementsAre("t/f64", "t/i64", "t/f32", "t/i32", "scalar", "empty", "\"quote", "t/bf16",
                                 "t/f16", "t/bool", "t/u8"));
}

TEST_F(SafetensorsTest, ReadsWhatOthersWrite) {
  // As the reference implementation writes it: no checksums, names in its order, padded with spaces.
  const auto file =
      load(file_of(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("a":{"dtype":"I64","shape":[],"data_offsets":[8,16]}}   )",
                   16));
  EXPECT_EQ(file.tensors.at(0).name, "b");
  EXPECT_EQ(file.tensors.at(1).tensor.shape(), Shape{});
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_TRUE(load(file_of("{}")).tensors.empty());
  // Tensors at odd addresses: the format does not promise alignment.
  const auto odd = load(file_of(R"({"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                R"("f":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}})",
                                9));
  EXPECT_EQ(odd.find("f")->data<double>()[0], 0.0);
}

TEST_F(SafetensorsTest, RefusesEveryHostileHeader) {
  const auto tensor = [](const std::string& shape, const std::string& offsets,
                         const std::string& dtype = "F32") {
    return R"("t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const auto header = [&](const std::string& body, std::size_t payload = 8) {
    return error(file_of("{" + body + "}", payload));
  };

  // The prefix.
  EXPECT_THAT(error(""), HasSubstr("not a safetensors file"));
  EXPECT_THAT(error("1234567"), HasSubstr("7 bytes"));
  EXPECT_THAT(error("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"),
              HasSubstr("a header of 18446744073709551615 bytes in 2"));
  EXPECT_THAT(error("\3\0\0\0\0\0\0\0{}"s), HasSubstr("a header of 3 bytes in 2"));
  EXPECT_THAT(error(file_of("")), HasSubstr("does not begin with {"));
  EXPECT_THAT(error(file_of(" {}")), HasSubstr("does not begin with {"));
  EXPECT_THAT(error("\x80\x04\x95\0\0\0\0\0{}"s), HasSubstr("a header of"));   // a pickle
  EXPECT_THAT(error("PK\3\4\0\0\0\0{}"s + "more"), HasSubstr("a header of"));  // a zip archive
  EXPECT_THAT(error(file_of("{}") + "PK\5\6 a zip directory"s), HasSubstr("belong to no tensor"));

  // JSON.
  EXPECT_THAT(error(file_of("{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of("{}}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of("{} x")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of("{}\0hidden"s)), HasSubstr("zero byte"));
  EXPECT_THAT(header(R"("a)"
                     "\xFF"
                     R"(":{})"),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(error(file_of(R"({"a":)" + std::string(1'000'000, '['))), HasSubstr("an array in the header"));
  EXPECT_THAT(error(file_of(R"({"t":{"shape":)" + std::string(1'000'000, '['))),
              HasSubstr("an array in the header"));
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += R"({"a":)";
  EXPECT_THAT(error(file_of(nested)), HasSubstr("unknown key \"a\""));

  // Keys and kinds of values.
  const std::string good = tensor("[2]", "[0,8]");
  EXPECT_NO_THROW(load(file_of("{" + good + "}", 8)));
  EXPECT_THAT(header(good + "," + good), HasSubstr("\"t\" occurs twice"));
  EXPECT_THAT(header(R"("t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("\"dtype\" occurs twice"));
  EXPECT_THAT(header(R"("__metadata__":{"a":"1","a":"2"},)" + good), HasSubstr("\"a\" occurs twice"));
  EXPECT_THAT(header(R"("__metadata__":{},"__metadata__":{},)" + good), HasSubstr("occurs twice"));
  EXPECT_THAT(header(R"("__metadata__":{"a":1},)" + good), HasSubstr("a number in the header"));
  EXPECT_THAT(header(R"("__metadata__":{"a":{}},)" + good), HasSubstr("an object in the header"));
  EXPECT_THAT(header(R"("__metadata__":null,)" + good), HasSubstr("null in the header"));
  EXPECT_THAT(header(R"("__metadata__":"x",)" + good), HasSubstr("a string in the header"));
  EXPECT_THAT(header(R"("t":[])"), HasSubstr("an array in the header"));
  EXPECT_THAT(header(R"("t":{"dtype":"F32","shape":[2]})"), HasSubstr("tensor \"t\": no data_offsets"));
  EXPECT_THAT(header(R"("t":{"dtype":"F32","data_offsets":[0,8]})"), HasSubstr("no shape"));
  EXPECT_THAT(header(R"("t":{"shape":[2],"data_offsets":[0,8]})"), HasSubstr("no dtype"));
  EXPECT_THAT(header(R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"),
              HasSubstr("unknown key \"x\""));
  EXPECT_THAT(header(tensor("[2]", "[0,8]", "F8_E4M3")),
              HasSubstr("tensor \"t\": dtype \"F8_E4M3\" is not supported"));
  EXPECT_THAT(header(tensor("2", "[0,8]")), HasSubstr("a number in the header"));
  EXPECT_THAT(header(tensor("[[2]]", "[0,8]")), HasSubstr("an array in the header"));
  EXPECT_THAT(header(tensor("[true]", "[0,8]")), HasSubstr("a boolean in the header"));
  EXPECT_THAT(header(tensor("[\"2\"]", "[0,8]")), HasSubstr("a string in the header"));

  // Numbers.
  for (const char* number : {"-0", "-1"})
    EXPECT_THAT(header(tensor("[" + std::string(number) + "]", "[0,8]")), HasSubstr("negative"));
  for (const char* number : {"2.0", "2e0", "0.5"}) {
    EXPECT_THAT(header(tensor("[" + std::string(number) + "]", "[0,8]")), HasSubstr("not whole"));
  }
  for (const char* number : {"1e999", "NaN", "Infinity", "-Infinity", "02", "+2", "0x2"}) {
    EXPECT_THAT(header(tensor("[" + std::string(number) + "]", "[0,8]")), HasSubstr("not valid JSON"));
  }
  EXPECT_THAT(header(tensor("[18446744073709551615]", "[0,8]")), HasSubstr("number too large in shape"));
  EXPECT_THAT(header(tensor("[18446744073709551616]", "[0,8]")), HasSubstr("not whole"));
  EXPECT_THAT(header(tensor("[2]", "[0,18446744073709551615]")),
              HasSubstr("number too large in data_offsets"));
  EXPECT_THAT(header(tensor("[1,1,1,1,1,1,1,1,2]", "[0,8]")), HasSubstr("more than 8 numbers"));
  EXPECT_THAT(header(tensor("[2]", "[0,4,8]")), HasSubstr("more than 2 numbers"));
  EXPECT_THAT(header(tensor("[2]", "[8]")), HasSubstr("not two numbers"));

  // Layout. The first shape's bytes wrap around 2^64 to 16, the second's elements to 2.
  EXPECT_THAT(header(tensor("[4194305,4194305,211106198978564]", "[0,16]"), 16),
              HasSubstr("too many elements"));
  EXPECT_THAT(header(tensor("[4611686018427387904]", "[0,0]", "F64"), 0), HasSubstr("too many elements"));
  EXPECT_THAT(header(tensor("[3]", "[0,8]")), HasSubstr("8 bytes are not a [3] of f32"));
  EXPECT_THAT(header(tensor("[1]", "[0,7]"), 7), HasSubstr("7 bytes are not a [1] of f32"));
  EXPECT_THAT(header(tensor("[2]", "[8,0]")), HasSubstr("end before they begin"));
  EXPECT_THAT(header(tensor("[2]", "[4,12]")), HasSubstr("beyond the end"));
  EXPECT_THAT(header(tensor("[1]", "[4,8]")), HasSubstr("leave a hole"));
  EXPECT_THAT(header(tensor("[1]", "[0,4]")), HasSubstr("4 bytes at the end belong to no tensor"));
  const std::string second = R"("u":{"dtype":"F32","shape":[1],"data_offsets":)";
  EXPECT_THAT(header(good + "," + second + "[4,8]}"), HasSubstr("overlap"));
  EXPECT_THAT(header(good + "," + second + "[12,16]}", 16), HasSubstr("leave a hole"));
  EXPECT_THAT(header(R"("b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]})", 0),
              HasSubstr("beyond the end"));
  EXPECT_THAT(error(file_of(R"({"b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})") + "\2"),
              HasSubstr("no bool"));
}

TEST_F(SafetensorsTest, TheHeaderHasALimit) {
  write_file(dir / "f.safetensors", file_of("{" + std::string(1000, ' ') + "}"));
  EXPECT_NO_THROW(io::load_safetensors(dir / "f.safetensors"));
  EXPECT_THAT(
      message_of<DataError>([&] { io::load_safetensors(dir / "f.safetensors", {.header_bytes = 1000}); }),
      HasSubstr("1002 bytes, more than the 1000 allowed"));
}

TEST_F(SafetensorsTest, RefusesEveryTruncationAndEveryFlippedBit) {
  const std::string bytes = saved({{"kernel", Tensor::of({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})},
                                   {"empty", Tensor({0, 4})},
                                   {"bias", Tensor::of({2}, std::vector<double>{1, 2})}},
                                  {{"step", "7"}});
  for (std::size_t length = 0; length < bytes.size(); ++length) error(bytes.substr(0, length));
  error(bytes + '\0');
  load(bytes);
  std::fstream file(dir / "f.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&file](std::size_t i, char byte) {
    file.seekp(static_cast<std::streamoff>(i)).put(byte).flush();
  };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      put(i, static_cast<char>(bytes[i] ^ (1 << bit)));
      EXPECT_THROW(io::load_safetensors(dir / "f.safetensors"), DataError) << "byte " << i << " bit " << bit;
    }
    put(i, bytes[i]);
  }
  EXPECT_NO_THROW(io::load_safetensors(dir / "f.safetensors"));
  std::string damaged = bytes;
  damaged[damaged.size() - 1] ^= 1;
  EXPECT_THAT(error(damaged), HasSubstr("tensor \"kernel\" is damaged"));
}

TEST_F(SafetensorsTest, AFailedSaveLeavesTheOldFileAndNothingElse) {
  const std::vector<NamedTensor> old_tensors{{"w", Tensor::of({2}, std::vector<float>{1, 2})}};
  const std::vector<NamedTensor> new_tensors{{"w", Tensor::of({3}, std::vector<float>{3, 4, 5})}};
  const std::string old_bytes = saved(old_tensors);
  for (const int code : {ENOSPC, EIO}) {
    std::int64_t k = 1;
    for (bool done = false; !done; ++k) {
      io::save_safetensors(dir / "saved", old_tensors);
      try {
        const io::FileFault fault(k, code);
        io::save_safetensors(dir / "saved", new_tensors);
        done = true;
      } catch (const FileError& error) {
        EXPECT_THAT(error.what(), HasSubstr(dir.path().string()));
      }
      EXPECT_EQ(dir.names(), std::vector<std::string>{"saved"}) << "operation " << k;
      const std::string now = read_file(dir / "saved");
      // Once it is renamed the new file stands, even if the directory could not be flushed.
      const bool is_new = same(*io::load_safetensors(dir / "saved").find("w"), new_tensors[0].tensor);
      EXPECT_TRUE(now == old_bytes || is_new);
      ASSERT_LT(k, 100);
    }
    EXPECT_EQ(k - 2,
              8);  // open, three writes, fsync, close, rename, fsync of the directory; each failed once
  }
  for (std::int64_t k = 1; k < 9; ++k) {
    try {
      const io::FileFault fault(k, EINTR);
      io::save_safetensors(dir / "saved", new_tensors);
    } catch (const FileError&) {
      EXPECT_FALSE(k >= 2 && k <= 4) << "an interrupted write is tried again";
    }
    EXPECT_TRUE(same(*io::load_safetensors(dir / "saved").find("w"), new_tensors[0].tensor));
  }
}

TEST_F(SafetensorsTest, RefusesPlacesThatAreNoFiles) {
  const std::vector<NamedTensor> tensors{{"w", Tensor(Shape{1})}};
  EXPECT_THROW(io::save_safetensors(dir / "none/file", tensors), FileError);
  EXPECT_THROW(io::save_safetensors(dir.path(), tensors), FileError);
  EXPECT_THROW(io::save_safetensors("/dev/null", tensors), FileError);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THROW(io::load_safetensors(dir / "none"), FileError);
  EXPECT_THROW(io::load_safetensors(dir.path()), FileError);
  EXPECT_THAT(dir.names(), testing::IsEmpty());
}

TEST_F(SafetensorsTest, KeepsTheModeOfTheFileItReplaces) {
  write_file(dir / "saved", "");
  std::filesystem::permissions(dir / "saved", std::filesystem::perms{0600});
  saved({});
  EXPECT_EQ(std::filesystem::status(dir / "saved").permissions(), std::filesystem::perms{0600});
}

TEST_F(SafetensorsTest, RefusesNamesThatCannotBeWritten) {
  const Tensor t(Shape{1});
  EXPECT_THROW(saved({{"a", t}, {"a", t}}), UsageError);
  EXPECT_THROW(saved({{"__metadata__", t}}), UsageError);
  EXPECT_THROW(saved({{"bad \xFF utf-8", t}}), UsageError);
  EXPECT_THROW(saved({}, {{"gpunn.crc32c", "x"}}), UsageError);
  EXPECT_THROW(saved({}, {{"gpunn.crc32c:a", "x"}}), UsageError);
  EXPECT_THROW(saved({}, {{"a", "\xC3"}}), UsageError);
  EXPECT_THAT(dir.names(), testing::IsEmpty());
}

TEST_F(SafetensorsTest, EveryFailingAllocationAndReadIsTypedAndLeaksNothing) {
  const std::string bytes = saved(one_of_each());
  const std::int64_t blocks = live_host_blocks();
  for (std::int64_t k = 1, done = 0; done == 0; ++k) {
    const HostMemoryFault fault(k);
    try {
      done = io::load_safetensors(dir / "saved").find("scalar") != nullptr ? 1 : 0;
      EXPECT_EQ(k - 1, 11);  // as many as tensors
    } catch (const OutOfMemory&) {
    }
    ASSERT_LT(k, 100);
  }
  for (std::int64_t k = 1, done = 0; done == 0; ++k) {
    const io::FileFault fault(k, EIO);
    try {
      done = io::load_safetensors(dir / "saved").find("scalar") != nullptr ? 1 : 0;
    } catch (const FileError&) {
    }
    ASSERT_LT(k, 100);
  }
  EXPECT_EQ(live_host_blocks(), blocks);
}

TEST(Crc32c, KnownAnswersOnBothPaths) {
  const std::string digits = "123456789";
  EXPECT_EQ(io::crc32c(std::as_bytes(std::span(digits))), 0xE3069283u);  // the check value of the polynomial
  const std::vector<std::byte> zeros(32, std::byte{0}), ones(32, std::byte{0xFF});  // RFC 3720, B.4
  EXPECT_EQ(io::crc32c(zeros), 0x8A9136AAu);
  EXPECT_EQ(io::crc32c(ones), 0x62A8AB43u);
  std::mt19937 random(1);
  std::vector<std::byte> bytes(1000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  for (std::size_t length = 0; length < 100; ++length) {
    const auto part = std::span<const std::byte>(bytes).subspan(length, length);
    EXPECT_EQ(io::crc32c(part), io::detail::crc32c_by_table(part, 0));
    EXPECT_EQ(io::crc32c(part.subspan(length / 3), io::crc32c(part.first(length / 3))), io::crc32c(part));
  }
}

}  // namespace
}  // namespace gpunn
