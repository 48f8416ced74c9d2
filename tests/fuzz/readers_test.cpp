// Every reader against thousands of damaged files: each is read, or refused with a DataError that names it.
// Anything else is a failure: a crash, another exception, a sanitizer's report, memory out of proportion.
// What a reader accepts must survive being written and read again, where there is a writer.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>

#include "gpunn/data.hpp"
#include "gpunn/io.hpp"
#include "gpunn/text.hpp"
#include "src/core/host_memory.hpp"
#include "src/io/utf8.hpp"
#include "tests/fuzz/mutate.hpp"
#include "tests/io/npz_maker.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

constexpr int kFiles = 6000;
constexpr std::chrono::seconds kMostTime{2};

// Reads make_file(0), make_file(1), ... until enough were tried or the time is up. `read` throws DataError to
// refuse.
void fuzz(const std::function<std::string(int)>& make_file,
          const std::function<void(const fs::path&)>& read) {
  const TempDir dir;
  const fs::path path = dir / "fuzzed";
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t blocks = live_host_blocks();
  int accepted = 0, refused = 0;
  for (int i = 0; i < kFiles && std::chrono::steady_clock::now() - begin < kMostTime; ++i) {
    const std::string content = make_file(i);
    write_file(path, content);
    try {
      read(path);
      ++accepted;
    } catch (const DataError& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find("fuzzed"), std::string::npos) << error.what();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    if (testing::Test::HasFailure()) {
      write_file(fs::temp_directory_path() / "gpunn_fuzz_failure", content);
      FAIL() << "file " << i << " is kept as gpunn_fuzz_failure in the temporary folder";
    }
  }
  EXPECT_EQ(live_host_blocks(), blocks);
  EXPECT_GT(refused, 100);
  EXPECT_GT(accepted, 20) << "damage that stops at the front door tests little";
  testing::Test::RecordProperty("accepted", accepted);
  testing::Test::RecordProperty("refused", refused);
}

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.size_bytes() == 0 || std::memcmp(a.bytes(), b.bytes(), a.size_bytes()) == 0);
}

TEST(Fuzz, Idx) {
  const std::string plain = "\0\0\x08\x02\0\0\0\3\0\0\0\4"s + "abcdefghijkl";
  const std::string floats = "\0\0\x0D\x01\0\0\0\2"s + "\x3F\x80\0\0\x7F\xC0\0\0"s;
  const std::string shorts = "\0\0\x0B\x03\0\0\0\1\0\0\0\2\0\0\0\2"s + "12345678";
  const std::vector<std::string> seeds{plain, floats, shorts, gzip(plain), gzip(floats) + gzip("")};
  Mutator mutate(
      1, {"\0\0\x08\x01"s, "\xFF\xFF\xFF\xFF", "\0\0\0\0"s, "\0\0\0\1"s, "\x80\0\0\0"s, "\x1F\x8B\x08\0"s});
  fuzz([&](int i) { return mutate(seeds[static_cast<std::size_t>(i) % seeds.size()]); },
       [](const fs::path& path) {
         const Tensor tensor = data::idx(path);
         ASSERT_LE(tensor.size_bytes(), std::size_t{1} << 20);  // from a few dozen bytes
         data::save_idx(tensor, fs::path(path).replace_filename("copy"));
         ASSERT_TRUE(same(data::idx(fs::path(path).replace_filename("copy")), tensor));
       });
}

// What must hold for any table that is accepted.
void check_table(const data::CsvTable& table, bool named_classes) {
  ASSERT_LE(table.x.elements(), 10'000);
  for (const float x : table.x.data<float>()) ASSERT_EQ(x - x, 0);  // finite
  if (!table.y) return;
  ASSERT_EQ(table.y->shape(), Shape{table.x.shape()[0]});
  if (!named_classes) return;
  for (const std::int32_t y : table.y->data<std::int32_t>())
    ASSERT_TRUE(y >= 0 && y < std::ssize(table.classes));
}

TEST(Fuzz, Csv) {
  using Options = data::CsvOptions;
  const std::string table = "a,b,\"c \"\"d\"\"\"\r\n1,2.5,-3e2\r\n\"4\",,6\r\n7,NA,\"8\"\r\n";
  const std::string numbers = "1,2,0\n3,4,1\n5,6,0\n7,8,2\n";
  const std::string names = "a,b,c\n1,2,z\n3,?,y\n";
  const std::vector<std::pair<std::string, Options>> seeds{
      {table, {.missing = Options::Missing::mean}},
      {numbers, {.header = false, .label_column = -1, .labels = Options::Labels::classes}},
      {gzip(numbers), {.header = false}},
      {names,
       {.label_column = "c", .labels = Options::Labels::names, .missing = Options::Missing::drop_row}}};
  Mutator mutate(
      2, {",", "\"", "\"\"", "\r\n", "\r", "\n", "NA", "1e999", "-", "+1", "nan", "\xEF\xBB\xBF", "\0"s});
  std::size_t seed = 0;
  fuzz(
      [&](int i) {
        seed = static_cast<std::size_t>(i) % seeds.size();
        return mutate(seeds[seed].first);
      },
      [&](const fs::path& path) {
        const Options& options = seeds[seed].second;
        check_table(data::csv_table(path, options), options.labels == Options::Labels::names);
      });
}

std::string with_length(const std::string& header, const std::string& payload) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + payload;
}

TEST(Fuzz, Safetensors) {
  const TempDir dir;
  io::save_safetensors(
      dir / "seed",
      std::vector<io::NamedTensor>{{"kernel", Tensor::of({2, 2}, std::vector<float>{1, 2, 3, 4})},
                                   {"mask", Tensor(Shape{3}, Dtype::boolean)}},
      {{"note", "x"}});
  const std::string ours = read_file(dir / "seed");
  // Without checksums, so that damage gets deep.
  const std::string header =
      R"({"__metadata__":{"a":"b"},"u":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]},)"
      R"("f":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  Mutator mutate(3, {"\"",
                     "{",
                     "}",
                     "[",
                     "]",
                     ",",
                     ":",
                     "\\u0000",
                     "\\ud800",
                     "-1",
                     "1e999",
                     "18446744073709551616",
                     "4194305",
                     "null",
                     "\"dtype\":",
                     "\"F64\"",
                     "\"shape\":[]",
                     "\"__metadata__\":{},",
                     " ",
                     "\0"s,
                     "0"});
  fuzz(
      [&](int i) {
        if (i % 4 == 0) return mutate(ours);
        // The length is right again, or hardly any damaged header would be looked into.
        return with_length(mutate(header), "abcdefgh");
      },
      [&](const fs::path& path) {
        const io::SafetensorsFile file = io::load_safetensors(path);
        std::size_t bytes = 0;
        for (const io::NamedTensor& named : file.tensors) bytes += named.tensor.size_bytes();
        ASSERT_LE(bytes, fs::file_size(path));
        io::save_safetensors(dir / "copy", file.tensors, file.metadata);
        const io::SafetensorsFile back = io::load_safetensors(dir / "copy");
        ASSERT_EQ(back.metadata, file.metadata);
        for (const io::NamedTensor& named : file.tensors) {
          const Tensor* tensor = back.find(named.name);
          ASSERT_NE(tensor, nullptr);
          ASSERT_TRUE(same(*tensor, named.tensor));
        }
      });
}

TEST(Fuzz, Imdb) {
  const std::string x = npz::npy("'|O'", "(2,)", npz::pickled("](K\1M\x01\x02J\1\2\3\0e]\x94\x8A\2\5\1a"s));
  const std::string y = npz::npy("'<i8'", "(2,)", "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"s);
  const auto archive = [&](const std::string& reviews, const std::string& labels) {
    return npz::zip(
        {{"x_train.npy", reviews}, {"y_train.npy", labels}, {"x_test.npy", x}, {"y_test.npy", y}});
  };
  Mutator mutate(4, {"\x93NUMPY\1\0"s,
                     "PK\5\6",
                     "PK\1\2",
                     "(",
                     "](",
                     "e",
                     "a",
                     "t",
                     "R",
                     "b",
                     "h\0"s,
                     "q\1",
                     "\x94",
                     "K\1",
                     "J\xFF\xFF\xFF\xFF",
                     "\x8A\x08",
                     "X\xFF\xFF\0\0"s,
                     "cos\nsystem\n",
                     "'|O'",
                     "99999999999,",
                     "\x87",
                     "\0\0\0\0"s});
  fuzz(
      [&](int i) {
        // The checksums are right where the damage is inside, or it would never be looked at.
        if (i % 4 == 0) return mutate(archive(x, y));
        return i % 4 == 1 ? archive(x, mutate(y)) : archive(mutate(x), y);
      },
      [](const fs::path& path) {
        const data::ImdbData data = data::imdb(path);
        ASSERT_EQ(std::ssize(data.train.x), data.train.y.elements());
        std::size_t words = 0;
        for (const auto& review : data.train.x) words += review.size();
        ASSERT_LE(words, fs::file_size(path));
      });
}

TEST(Fuzz, TextTable) {
  const std::string seed = "label\ttext\n1\tgr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 you\n0\tsays \"no\"\r\n1\t\n";
  Mutator mutate(5, {"\t", "\n", "\r\n", "\r", "\"", "\xC3", "\xE2\x82", "\xF4\x90\x80\x80", "\xED\xA0\x80",
                     "\xEF\xBB\xBF", "\0"s});
  fuzz([&](int) { return mutate(seed); },
       [](const fs::path& path) {
         const data::TextTable table = data::text_table(path, {.delimiter = '\t', .label_column = "label"});
         ASSERT_EQ(std::ssize(table.texts), table.y->elements());
         TextVectorization vectorize({.split = Split::character});
         vectorize.adapt(table.texts);
         for (const std::string& text : table.texts) ASSERT_EQ(io::find_invalid_utf8(text), text.npos);
         // What is not UTF-8 can only be in a column that is not read, and replacing it changes nothing here.
         ASSERT_EQ(data::text_table(path, {.delimiter = '\t', .invalid_utf8 = InvalidUtf8::replace}).texts,
                   table.texts);
       });
}

TEST(Fuzz, Vectorizer) {
  const TempDir dir;
  TextVectorization seed({.max_tokens = 9, .output_sequence_length = 4, .ids = imdb_ids});
  seed.adapt(std::vector<std::string>{"one two two \xC3\xA4\xC3\xB6"});
  seed.save(dir / "seed");
  const std::string saved = read_file(dir / "seed");
  Mutator mutate(6, {"\"", "[", "]", "{", "}", ",", "null", "-1", "2147483648", "1e9", "0", "4", "\\u0000",
                     "\\ud800", "\"\"", "\xFF"});
  fuzz([&](int) { return mutate(saved); },
       [&](const fs::path& path) {
         const TextVectorization read = TextVectorization::load(path);
         read.save(dir / "copy");
         ASSERT_EQ(TextVectorization::load(dir / "copy").vocabulary(), read.vocabulary());
       });
}

}  // namespace
}  // namespace gpunn
