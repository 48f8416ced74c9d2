// Keras's imdb.npz: as Keras reads it, and everything that such a file must not be able to do.
#include <gtest/gtest.h>

#include <cstring>

#include "gpunn/text.hpp"
#include "src/io/pickle.hpp"
#include "src/io/zip.hpp"
#include "tests/io/npz_maker.hpp"
#include "tests/support/files.hpp"
#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

using namespace std::string_literals;
using nlohmann::json;
using Lists = std::vector<std::vector<std::int32_t>>;

data::ImdbOptions options_of(const json& a) {
  data::ImdbOptions options;
  options.num_words = a.value("num_words", 0);
  options.skip_top = a.value("skip_top", 0);
  options.maxlen = a.value("maxlen", 0);
  options.seed = a.value("seed", 113u);
  options.index_from = a.value("index_from", 3);
  if (a.contains("start_char")) options.start_char.reset();
  if (a.contains("oov_char")) options.oov_char.reset();
  return options;
}

std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes()), tensor.size_bytes()};
}

void expect_part(const data::Sequences& part, const golden::Family& family, const std::string& name,
                 const std::string& which) {
  std::vector<std::int32_t> flat, lengths;
  for (const auto& review : part.x) {
    flat.insert(flat.end(), review.begin(), review.end());
    lengths.push_back(static_cast<std::int32_t>(review.size()));
  }
  const auto equal = [&](std::span<const std::int32_t> a, const std::string& tensor) {
    return std::ranges::equal(a, family[name + "/output:" + tensor].data<std::int32_t>());
  };
  EXPECT_TRUE(equal(flat, "x_" + which)) << which;
  EXPECT_TRUE(equal(lengths, "x_" + which + "_lengths")) << which;
  EXPECT_TRUE(equal(part.y.data<std::int32_t>(), "y_" + which)) << which;
}

TEST(Imdb, IsReadAsKerasReadsIt) {
  const golden::Family family("imdb");
  ASSERT_EQ(family.cases().size(), 6u);
  const TempDir dir;
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(name);
    write_file(dir / "imdb.npz", bytes_of(family[name + "/input"]));
    const auto [train, test] = data::imdb(dir / "imdb.npz", options_of(family.attributes(name)));
    expect_part(train, family, name, "train");
    expect_part(test, family, name, "test");
  }
}

TEST(Imdb, EveryTruncationIsRefused) {
  const golden::Family family("imdb");
  const TempDir dir;
  for (const char* name : {"protocol_5", "default"}) {
    const std::string whole = bytes_of(family[std::string(name) + "/input"]);
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 300) {
      write_file(dir / "short.npz", whole.substr(0, size));
      const std::string told = message_of<DataError>([&] { data::imdb(dir / "short.npz"); });
      EXPECT_NE(told.find("short.npz"), told.npos) << told;
    }
  }
  EXPECT_THROW(data::imdb(dir / "none.npz"), FileError);
}

Lists unpickle(const std::string& pickle, std::int64_t count) {
  return io::unpickle_integer_lists(std::as_bytes(std::span(pickle)), count, "file");
}

TEST(Pickle, ReadsArraysOfLists) {
  EXPECT_EQ(unpickle(npz::pickled("](K\1K\2e](K\3e"s), 2), (Lists{{1, 2}, {3}}));
  EXPECT_EQ(unpickle(npz::pickled("]"), 1), Lists{{}});
  EXPECT_EQ(unpickle(npz::pickled("](M\xFF\xFFJ\xFF\xFF\xFF\xFF\x8A\1\x80\x8A\0\x8A\2\xFF\0e"s), 1),
            (Lists{{65535, -1, -128, 0, 255}}));
  EXPECT_EQ(unpickle(npz::pickled("]K\5a"s), 1), Lists{{5}});  // appended one at a time
}

TEST(Pickle, CallsNothingAndOutgrowsNothing) {
  const auto told = [](const std::string& pickle, std::int64_t count = 1) {
    return message_of<DataError>([&] { unpickle(pickle, count); });
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), text.npos) << text;
    EXPECT_EQ(text.rfind("file: byte ", 0), 0u) << text;
  };
  has(told("\x80\4cposix\nsystem\n(X\4\0\0\0true\x85R."s), "posix system");
  has(told("\x80\4\x8C\5posix\x8C\6system\x93."s), "posix system");
  has(told("\x80\4cnumpy\nndarray\n)R."s), "not understood");
  has(told("\x80\4cnumpy\ndtype\n\x8C\2i8\x85R."s), "not of objects");
  has(told("\x80\4cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n\x85R."s), "no numpy array");
  has(told(""), "too early");
  has(told("\x80\1."s), "protocol 1");
  has(told("\x80\4}."s), "instruction");
  has(told("\x80\4]."s), "no array");
  has(told("\x80\4."s), "not there");
  has(told("\x80\4R"s), "not there");
  has(told("\x80\4e"s), "mark");
  has(told("\x80\4(e"s), "not there");
  has(told("\x80\4(K\1K\1e"s), "not there");
  has(told("\x80\4K\1(K\1e"s), "no list");
  has(told("\x80\4(0a"s), "instruction");
  has(told("\x80\4h\7"s), "never remembered");
  has(told("\x80\4Nr\xFF\xFF\xFF\xFF"s), "out of order");
  has(told("\x80\4Nq\1"s), "out of order");
  has(told("\x80\4\x94"s), "not there");
  has(told("\x80\4X\xFF\xFF\xFF\xFF"s), "long text");
  has(told("\x80\4\x8A\x09"
           "123456789"s),
      "64 bits");
  has(told("\x80\4"
           "c" +
           std::string(1000, 'a')),
      "long name");
  has(told("\x80\4" + std::string(2'000'000, 'N')), "too many values");
  has(told(npz::pickled("](K\1e"s) + "N"), "goes on");
  has(told(npz::pickled("](K\1e"s), 2), "elements");
  has(told(npz::pickled("]]]"s), 1), "more lists");
  has(told(npz::pickled("K\1"s), 1), "elements");
  has(told(npz::pickled("](K\1ee"s), 1), "no list");
  has(told(npz::pickled("]\x8A\5\0\0\0\0\1a"s), 1), "32 bits");
  has(told(npz::pickled("](](K\1ee"s), 2), "elements");
  has(told(npz::pickled("](]e"s), 1), "list");
  has(told(npz::pickled("]\x94h\1"s), 2), "two places");   // the same list twice
  has(told(npz::pickled("]\x94h\1a"s), 1), "two places");  // a list in itself
}

TEST(Zip, ReadsWhatIsStoredAndRefusesTheRest) {
  const TempDir dir;
  const auto open = [&](const std::string& content) {
    write_file(dir / "z.zip", content);
    return io::ZipFile(dir / "z.zip");
  };
  const std::string archive = npz::zip({{"a", "hello"}, {"b", ""}});
  const auto told = [&](std::string content, std::size_t at, std::string_view bytes) {
    content.replace(at, bytes.size(), bytes);
    return message_of<DataError>([&] {
      const io::ZipFile file = open(content);
      for (const std::string& name : file.names()) static_cast<void>(file.read(name, 1000));
    });
  };
  const io::ZipFile file = open(archive);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file.read("a", 5).size(), 5u);
  EXPECT_TRUE(file.read("b", 0).empty());
  EXPECT_THROW(file.read("a", 4), DataError);
  EXPECT_THROW(file.read("c", 4), DataError);
  EXPECT_THROW(open(""), DataError);
  EXPECT_THROW(open(std::string(100, 'x')), DataError);

  const std::size_t directory = archive.find("PK\1\2"), end = archive.rfind("PK\5\6");
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), text.npos) << text;
  };
  has(told(archive, 30 + 1, "j"), "checksum");
  has(told(archive, directory, "XX"), "directory");
  has(told(archive, directory + 8, "\1"), "encrypted");
  has(told(archive, directory + 10, "\x63"), "method 99");
  has(told(archive, directory + 20, "\xFF\xFF\xFF\x7F"s), "too early");
  has(told(archive, directory + 24, "\x06"s), "size");
  has(told(archive, directory + 24, "\xFF\xFF\xFF\xFF"s), "4 GiB");
  has(told(archive, directory + 24, "\xFF\xFF\xFF\x7F"s), "max_bytes");
  has(told(archive, directory + 42, "\x07"s), "where the directory says");
  has(told(archive, directory + 42, "\xF0\xFF\xFF\x0F"s), "too early");
  std::string bomb = archive;  // five bytes that claim to become two gigabytes
  bomb.replace(directory + 10, 1, "\x08");
  bomb.replace(directory + 24, 4, "\xFF\xFF\xFF\x7F");
  const std::string refused =
      message_of<DataError>([&] { static_cast<void>(open(bomb).read("a", std::int64_t{1} << 40)); });
  has(refused, "too short for the size that it claims");
  has(told(archive, end + 16, "\xFF\xFF\xFF\xFF"s), "4 GiB");
  has(told(archive, end + 10, "\x09"), "several parts");
  has(told(archive, end + 8, "\x09\0\x09\0"s), "too early");
}

TEST(Imdb, RefusesArraysOfOtherKinds) {
  const TempDir dir;
  const auto told = [&](const std::string& x, const std::string& y) {
    write_file(dir / "i.npz",
               npz::zip({{"x_train.npy", x}, {"y_train.npy", y}, {"x_test.npy", x}, {"y_test.npy", y}}));
    return message_of<DataError>([&] { data::imdb(dir / "i.npz"); });
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), text.npos) << text;
    EXPECT_NE(text.find("i.npz, "), text.npos) << text;
  };
  const std::string x = npz::npy("'|O'", "(1,)", npz::pickled("](K\5e"s));
  const std::string y = npz::npy("'<i8'", "(1,)", "\1\0\0\0\0\0\0\0"s);
  write_file(dir / "good.npz",
             npz::zip({{"x_train.npy", x}, {"y_train.npy", y}, {"x_test.npy", x}, {"y_test.npy", y}}));
  EXPECT_EQ(data::imdb(dir / "good.npz", {.num_words = 100}).train.x, (Lists{{1, 8}}));

  has(told("", y), "not an npy array");
  has(told("\x93NUMPY\7\0\0\0\0\0"s, y), "not an npy array");
  has(told("\x93NUMPY\1\0\xFF\xFF{}"s, y), "not an npy array");
  has(told(npz::npy("[('a', '<i4')]", "(1,)", ""), y), "header");
  has(told(npz::npy("'|O'", "(-1,)", ""), y), "extent");
  has(told(npz::npy("'|O'", "(99999999999999999999,)", ""), y), "extent");
  has(told(npz::npy("'|O'", "(1, 1)", ""), y), "axes");
  has(told(npz::npy("'|O'", "()", ""), y), "axes");
  has(told(npz::npy("'<i8'", "(1,)", "12345678"), y), "not lists");
  has(told(npz::npy("'|O'", "(9223372036854775807,)", npz::pickled("](K\5e"s)), y), "elements");
  has(told(x, npz::npy("'<f4'", "(1,)", "1234")), "not whole numbers");
  has(told(x, npz::npy("'<i8'", "(2,)", "12345678")), "bytes are not");
  has(told(x, npz::npy("'<i8'", "(9223372036854775807,)", "12345678")), "bytes are not");
  has(told(x, npz::npy("'<i8'", "(1,)", "\xFF\xFF\xFF\xFF\xFF\0\0\0"s)), "32 bits");
  EXPECT_NE(told(x, npz::npy("'|u1'", "(2,)", "\1\1")).find("1 reviews and 2 labels"), std::string::npos);
  EXPECT_THROW(data::imdb(dir / "good.npz", {.skip_top = -1}), UsageError);
  EXPECT_THROW(data::imdb(dir / "good.npz", {.maxlen = 2}), DataError);
}

TEST(Imdb, WordsByRank) {
  const TempDir dir;
  const auto words = [&](const std::string& content) {
    write_file(dir / "w.json", content);
    return data::imdb_words(dir / "w.json");
  };
  EXPECT_EQ(words(R"({"and": 2, "the": 1, "\u00e9t\u00e9": 3})"),
            (std::vector<std::string>{"the", "and", "été"}));
  EXPECT_THROW(words(R"({"and": 2, "the": 2})"), DataError);
  EXPECT_THROW(words(R"({"and": 3, "the": 1})"), DataError);
  EXPECT_THROW(words(R"({"and": 0})"), DataError);
  EXPECT_THROW(words(R"({"and": "1"})"), DataError);
  EXPECT_THROW(words("[1]"), DataError);
  EXPECT_THROW(words("{"), DataError);
}

}  // namespace
}  // namespace gpunn
