#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gpunn/data.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using data::CsvOptions;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;
using Labels = CsvOptions::Labels;
using Missing = CsvOptions::Missing;

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.data<T>().begin(), tensor.data<T>().end()};
}

class CsvTest : public testing::Test {
 protected:
  data::CsvTable read(std::string_view content, const CsvOptions& options = {}) {
    write_file(dir / "t.csv", content);
    return data::csv_table(dir / "t.csv", options);
  }
  // The message without the folder.
  std::string error(std::string_view content, const CsvOptions& options = {}) {
    const std::string message = message_of<DataError>([&] { read(content, options); });
    const std::string folder = dir.path().string() + "/";
    EXPECT_THAT(message, StartsWith(folder));
    return message.substr(std::min(folder.size(), message.size()));
  }
  TempDir dir;
};

TEST_F(CsvTest, ReadsAPlainTable) {
  const auto table = read("a,b,c\n1,2.5,-3e2\n 4 ,+5,\t6\n");
  EXPECT_THAT(table.features, ElementsAre("a", "b", "c"));
  EXPECT_EQ(table.x.shape(), (Shape{2, 3}));
  EXPECT_THAT(values<float>(table.x), ElementsAre(1, 2.5f, -300, 4, 5, 6));
  EXPECT_FALSE(table.y.has_value());
}

TEST_F(CsvTest, ReadsWhatRfc4180Allows) {
  const std::string mark = "\xEF\xBB\xBF";
  const auto table = read(mark + "\"a \"\"quoted\"\"\nname\",\"b,c\"\r\n\"1\",2\r\n\r\n3,\"4\"", {});
  EXPECT_THAT(table.features, ElementsAre("a \"quoted\"\nname", "b,c"));
  EXPECT_THAT(values<float>(table.x), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(values<float>(read("1;2\n3;4", {.header = false, .delimiter = ';'}).x),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(values<float>(read("a comment, \"odd\nx\n7\n", {.skip_lines = 1}).x), ElementsAre(7));
  EXPECT_THAT(values<float>(read(gzip("x\n7\n")).x), ElementsAre(7));
  EXPECT_THAT(values<float>(read("x\n1e-400\n-1E-50\n").x), ElementsAre(0, 0));
  // Longer than one buffer, with a break inside a field.
  std::string text = "x,y\n";
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i) + ",\"" + std::to_string(i) + "\"\r\n";
  const auto x = read(text).x;
  EXPECT_EQ(x.shape(), (Shape{20'000, 2}));
  EXPECT_EQ(x.data<float>()[39'999], 19'999);
}

TEST_F(CsvTest, ChoosesColumns) {
  const std::string text = "id,height,kind,width\n9,1,0,2\n8,3,1,4\n";
  auto table =
      read(text, {.label_column = "kind", .feature_columns = {"width", 1}, .labels = Labels::classes});
  EXPECT_THAT(table.features, ElementsAre("width", "height"));
  EXPECT_THAT(values<float>(table.x), ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(values<std::int32_t>(*table.y), ElementsAre(0, 1));
  table = read(text, {.label_column = -2});
  EXPECT_THAT(values<float>(table.x), ElementsAre(9, 1, 2, 8, 3, 4));
  EXPECT_THAT(values<float>(*table.y), ElementsAre(0, 1));

  EXPECT_EQ(error(text, {.label_column = "sort"}), "t.csv:1:1: no column \"sort\"");
  EXPECT_EQ(error(text, {.label_column = 4}), "t.csv:1:1: no column 4 in 4");
  EXPECT_EQ(error(text, {.label_column = -5}), "t.csv:1:1: no column -5 in 4");
  EXPECT_EQ(error("a,a\n1,2\n", {.label_column = "a"}), "t.csv:1:2: two columns are named \"a\"");
  EXPECT_EQ(error("a\n1\n", {.label_column = 0}), "t.csv:1:1: no column is left for the inputs");
  EXPECT_THROW(read(text, {.header = false, .label_column = "kind"}), UsageError);
}

TEST_F(CsvTest, NumbersNamedClassesInTheOrderOfTheirNames) {
  const auto table = read("x,who\n1,versicolor\n2,setosa\n3,versicolor\n4,\"a,b\"\n",
                          {.label_column = "who", .labels = Labels::names});
  EXPECT_THAT(table.classes, ElementsAre("a,b", "setosa", "versicolor"));
  EXPECT_THAT(values<std::int32_t>(*table.y), ElementsAre(2, 1, 2, 0));
}

TEST_F(CsvTest, TreatsMissingValuesAsAsked) {
  const std::string text = "a,b,y\n1,,0\nNA,4,1\n3,8,0\n";
  EXPECT_EQ(error(text, {.label_column = "y"}), "t.csv:2:2: missing value \"\"");
  EXPECT_THAT(values<float>(read(text, {.label_column = "y", .missing = Missing::drop_row}).x),
              ElementsAre(3, 8));
  EXPECT_THAT(values<float>(read(text, {.label_column = "y", .missing = Missing::mean}).x),
              ElementsAre(1, 6, 2, 4, 3, 8));
  const auto with_nan = values<float>(read(text, {.label_column = "y", .missing = Missing::nan}).x);
  EXPECT_TRUE(std::isnan(with_nan[1]) && std::isnan(with_nan[2]));
  EXPECT_EQ(with_nan[3], 4);
  EXPECT_THAT(values<float>(read("a\n-999\n5\n", {.missing = Missing::mean, .missing_marks = {"-999"}}).x),
              ElementsAre(5, 5));
  const std::string no_label = "a,y\n1,?\n2,1\n";
  EXPECT_EQ(error(no_label, {.label_column = "y", .missing = Missing::nan}),
            "t.csv:2:2: the label is missing");
  EXPECT_THAT(values<float>(*read(no_label, {.label_column = "y", .missing = Missing::drop_row}).y),
              ElementsAre(1));
  EXPECT_EQ(error("a\n\"\"\n", {.missing = Missing::nan}),
            "t.csv:2:1: \"\" is not a number");  // quoted: text
  EXPECT_EQ(error("a,b\n?,1\n", {.missing = Missing::mean}), "t.csv:1:1: no values to take the mean of");
}

TEST_F(CsvTest, ErrorsNameFileLineAndColumn) {
  EXPECT_EQ(error("a,b\n1,2\n3,x4\n"), "t.csv:3:2: \"x4\" is not a number");
  EXPECT_EQ(error("a,b\n1,2\n\n3\n"), "t.csv:4:2: 1 fields in this row, 2 in the first");
  EXPECT_EQ(error("a,b\n1,2,3\n"), "t.csv:2:3: 3 fields in this row, 2 in the first");
  EXPECT_EQ(error("a,b\n1,\"2\n\n3\n"), "t.csv:2:2: a quote that is never closed");
  EXPECT_EQ(error("a,b\n\"1\n\",\"2\"x\n"), "t.csv:3:2: text after a closing quote");
  EXPECT_EQ(error("a,b\n1,2\"\n"), "t.csv:2:2: a quote inside a field that does not begin with one");
  EXPECT_EQ(error("a,b\n1,2\r3,4\n"), "t.csv:2:2: a carriage return that ends no line");
  EXPECT_EQ(error("a,b\n1,2\r"), "t.csv:2:2: a carriage return that ends no line");
  EXPECT_EQ(error("a\n1\x01\n"), "t.csv:2:1: \"1\\x01\" is not a number");
  EXPECT_EQ(error("a\n1\0\n"s), "t.csv:2:1: \"1\\x00\" is not a number");
  for (const std::string bad :
       {"1e999", "-1e39", "inf", "-Infinity", "nan(1)", "1e-5x", "0x10", "+-1", "++1", "1 2", "-"}) {
    EXPECT_THAT(error("a\n" + bad + "\n", {.missing_marks = {}}),
                StartsWith("t.csv:2:1: \"" + bad + "\" is not a "));
  }
  for (const std::string bad : {"1.5", "-", "99999999999", "one", " 1"}) {
    EXPECT_THAT(error("a,y\n1," + bad + "\n", {.label_column = 1, .labels = Labels::classes}),
                StartsWith("t.csv:2:2: "));
  }
  EXPECT_EQ(error(""), "t.csv: no rows");
  EXPECT_EQ(error("a,b\n"), "t.csv: no rows");
  EXPECT_THAT(error("a\n" + std::string(1000, 'z') + "\n"), testing::SizeIs(testing::Lt(120u)));
}

TEST_F(CsvTest, LimitsTheTextItUnpacks) {
  const std::string bomb = gzip("a\n" + std::string(20 << 20, '\n'));
  EXPECT_THAT(error(bomb, {.max_bytes = 1 << 20}), HasSubstr("max_bytes"));
  EXPECT_THAT(error(gzip("a\n1\n2\n3\n").substr(0, 20)), HasSubstr("ends too early"));
}

TEST_F(CsvTest, BecomesADataSet) {
  write_file(dir / "t.csv", "a,b,y\n1,2,0\n3,4,1\n");
  const DatasetPtr data = data::csv(dir / "t.csv", {.label_column = "y"});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->inputs().at(0).shape, Shape{2});
  EXPECT_EQ(data->targets().at(0).shape, Shape{});
  EXPECT_THROW(data::csv(dir / "none.csv"), FileError);
  EXPECT_THROW(data::csv(dir / "t.csv", {.delimiter = '"'}), UsageError);
}

}  // namespace
}  // namespace gpunn
