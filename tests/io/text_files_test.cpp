#include <gtest/gtest.h>

#include "gpunn/text.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using namespace std::string_literals;
using Texts = std::vector<std::string>;

class TextFiles : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& content, const char* name = "text.txt") {
    write_file(dir / name, content);
    return dir / name;
  }
  TempDir dir;
};

TEST_F(TextFiles, LinesKeepWhatIsBetweenTheirEnds) {
  EXPECT_EQ(data::text_lines(file("one\ntwo\r\n\n ä \nlast")), (Texts{"one", "two", "", " ä ", "last"}));
  EXPECT_EQ(data::text_lines(file("one\n")), Texts{"one"});
  EXPECT_EQ(data::text_lines(file("\n\n")), (Texts{"", ""}));
  EXPECT_EQ(data::text_lines(file("a\rb\n")), Texts{"a\rb"});
  EXPECT_EQ(data::text_lines(file("a\0b\n"s)), Texts{"a\0b"s});
  EXPECT_EQ(data::text_lines(file("")), Texts{});
  EXPECT_EQ(data::text_lines(file("\xEF\xBB\xBFtext\n")), Texts{"text"});
  EXPECT_EQ(data::text_lines(file(gzip("one\n") + gzip("two"))), (Texts{"one", "two"}));
}

TEST_F(TextFiles, ALongFileIsReadWhole) {
  std::string content;
  for (int i = 0; i < 30'000; ++i) content += "line " + std::to_string(i) + " ä\n";
  EXPECT_EQ(data::text_file(file(content)), content);
  EXPECT_EQ(data::text_lines(dir / "text.txt").size(), 30'000u);
  EXPECT_THROW(data::text_file(dir / "text.txt", {.max_bytes = 100'000}), DataError);
  EXPECT_EQ(data::text_file(file("12345"), {.max_bytes = 5}), "12345");
  EXPECT_THROW(data::text_file(file("123456"), {.max_bytes = 5}), DataError);
}

TEST_F(TextFiles, BrokenUtf8IsToldByFileLineAndByte) {
  const auto path = file("fine\nälso fine\nnot \xE9 fine\n");
  const std::string told = message_of<DataError>([&] { data::text_lines(path); });
  EXPECT_NE(told.find("text.txt:3: byte 5 (0xE9) is not UTF-8"), told.npos) << told;
  EXPECT_EQ(data::text_lines(path, {.invalid_utf8 = InvalidUtf8::replace}).at(2), "not \xEF\xBF\xBD fine");
  EXPECT_THROW(data::text_lines(dir / "missing.txt"), FileError);
  EXPECT_THROW(data::text_lines(dir.path()), FileError);
}

TEST_F(TextFiles, TablesOfTabsHaveNoQuotes) {
  const auto path = file("label\ttext\n1\tsays \"yes\"\n0\t\"no\n1\t\n", "reviews.tsv");
  const data::TextTable table = data::text_table(path, {.label_column = "label"});
  EXPECT_EQ(table.texts, (Texts{"says \"yes\"", "\"no", ""}));
  EXPECT_EQ(table.y->shape(), Shape{3});
  EXPECT_EQ(table.y->data<float>()[1], 0.0f);
  write_file(dir / "z.tsv.gz", gzip("text\n\"a\n"));
  EXPECT_EQ(data::text_table(dir / "z.tsv.gz").texts, Texts{"\"a"});
  EXPECT_FALSE(data::text_table(dir / "z.tsv.gz").y);
}

TEST_F(TextFiles, TablesOfCommasHaveQuotes) {
  const auto path = file("kind,text\ngood,\"a, \"\"b\"\"\nc\"\nbad,d\n", "t.csv");
  const data::TextTable table =
      data::text_table(path, {.label_column = "kind", .labels = data::CsvOptions::Labels::names});
  EXPECT_EQ(table.texts, (Texts{"a, \"b\"\nc", "d"}));
  EXPECT_EQ(table.classes, (Texts{"bad", "good"}));
  EXPECT_EQ(table.y->data<std::int32_t>()[0], 1);
  EXPECT_EQ(data::text_table(file("x;\"y\"\n", "n.csv"),
                             {.header = false, .delimiter = ';', .quotes = false, .text_column = 1})
                .texts,
            Texts{"\"y\""});
}

TEST_F(TextFiles, TablesTellWhatIsWrongAndWhere) {
  const auto told = [&](const std::string& content, const data::TextTableOptions& options = {}) {
    const auto path = file(content, "t.tsv");
    return message_of<DataError>([&] { data::text_table(path, options); });
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
  EXPECT_TRUE(has(told(""), "t.tsv: no rows"));
  EXPECT_TRUE(has(told("text\n"), "t.tsv: no rows"));
  EXPECT_TRUE(has(told("a\tb\n1\t2\n"), "no column \"text\""));
  EXPECT_TRUE(has(told("a\ttext\n1\t2\n1\n"), "t.tsv:3:2: 1 fields"));
  EXPECT_TRUE(
      has(told("label\ttext\nx\ty\n", {.label_column = "label"}), "t.tsv:2:1: \"x\" is not a number"));
  EXPECT_TRUE(has(told("a\ttext\n1\tab\xC3\n"), "t.tsv:2:2: byte 3 (0xC3) is not UTF-8"));
  const auto path = file("a\ttext\n1\tab\xC3\n", "t.tsv");
  EXPECT_EQ(data::text_table(path, {.invalid_utf8 = InvalidUtf8::replace}).texts, Texts{"ab\xEF\xBF\xBD"});
  EXPECT_THROW(data::text_table(path, {.delimiter = '"'}), UsageError);
  EXPECT_THROW(data::text_table(path, {.header = false}), UsageError) << "a name needs a header";
}

}  // namespace
}  // namespace gpunn
