#include <gtest/gtest.h>

#include <cerrno>

#include "gpunn/text.hpp"
#include "src/io/file.hpp"
#include "src/io/utf8.hpp"
#include "tests/support/files.hpp"
#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

using nlohmann::json;
using namespace std::string_literals;
using Texts = std::vector<std::string>;

TextVectorizationOptions options_of(const json& a) {
  TextVectorizationOptions options{.max_tokens = a.value("max_tokens", 0),
                                   .output_sequence_length = a.value("output_sequence_length", 0)};
  if (a.value("split", "whitespace") == "character") options.split = Split::character;
  if (!a.contains("standardize")) return options;
  options.standardize = a["standardize"].is_null()                ? Standardize::none
                        : a["standardize"] == "lower"             ? Standardize::lower
                        : a["standardize"] == "strip_punctuation" ? Standardize::strip_punctuation
                                                                  : Standardize::lower_and_strip_punctuation;
  return options;
}

std::vector<std::int32_t> ids(const Tensor& tensor) {
  const auto values = tensor.data<std::int32_t>();
  return {values.begin(), values.end()};
}

TEST(TextVectorization, VocabularyAndIdsAreKeras) {
  const golden::Family family("text_vectorization");
  ASSERT_EQ(family.cases().size(), 11u);
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(name);
    const json attributes = family.attributes(name);
    TextVectorization vectorize(options_of(attributes));
    vectorize.adapt(attributes["texts"].get<Texts>());
    EXPECT_EQ(vectorize.vocabulary(), attributes["vocabulary"].get<Texts>());
    const Tensor out = vectorize(attributes["queries"].get<Texts>());
    EXPECT_EQ(out.shape(), family[name + "/output"].shape());
    EXPECT_EQ(ids(out), ids(family[name + "/output"]));

    TextVectorization given(options_of(attributes));
    given.set_vocabulary(attributes["vocabulary"].get<Texts>());  // with the special tokens
    EXPECT_EQ(ids(given(attributes["queries"].get<Texts>())), ids(out));
  }
}

TEST(TextVectorization, EmptyTextIsOnlyPadding) {
  TextVectorization vectorize({.output_sequence_length = 3});
  vectorize.adapt(Texts{"a b"});
  EXPECT_EQ(ids(vectorize({"", " ,.! "})), std::vector<std::int32_t>(6, 0));
  EXPECT_TRUE(vectorize.encode("").empty());
  EXPECT_EQ(vectorize(Texts{}).shape(), (Shape{0, 3}));
  TextVectorization any_length;
  any_length.adapt(Texts{"a b"});
  EXPECT_EQ(any_length({"", "!"}).shape(), (Shape{2, 0}));
  any_length.adapt(Texts{});  // nothing is known then
  EXPECT_EQ(any_length.vocabulary(), (Texts{"", "[UNK]"}));
  EXPECT_EQ(ids(any_length({"a"})), std::vector<std::int32_t>{1});
}

TEST(TextVectorization, ImdbConventions) {
  TextVectorization vectorize({.max_tokens = 6, .ids = imdb_ids});
  vectorize.set_vocabulary({"the", "and"});
  EXPECT_EQ(vectorize.vocabulary(), (Texts{"", "[START]", "[UNK]", "[UNUSED]", "the", "and"}));
  EXPECT_EQ(vectorize.encode("And THE film"), (std::vector<std::int32_t>{1, 5, 4, 2}));
  EXPECT_EQ(vectorize.encode(""), std::vector<std::int32_t>{1});
  vectorize.adapt(Texts{"x y y z z z"});  // two words have room
  EXPECT_EQ(vectorize.vocabulary(), (Texts{"", "[START]", "[UNK]", "[UNUSED]", "z", "y"}));
}

TEST(TextVectorization, DecodesWhatItEncoded) {
  TextVectorization words;
  words.adapt(Texts{"one two three"});
  EXPECT_EQ(words.decode(words.encode("Three, four, ONE")), "three [UNK] one");
  EXPECT_EQ(words.decode(std::vector<std::int32_t>{0, 0}), "");
  EXPECT_THROW(words.decode(std::vector<std::int32_t>{5}), UsageError);
  EXPECT_THROW(words.decode(std::vector<std::int32_t>{-1}), UsageError);
  TextVectorization characters({.standardize = Standardize::none, .split = Split::character});
  const std::string text = "Grüße, \U0001F600!\n";
  characters.adapt(Texts{text});
  EXPECT_EQ(characters.encode(text).size(), 10u);
  EXPECT_EQ(characters.decode(characters.encode(text)), text);
}

TEST(TextVectorization, BrokenUtf8IsToldOrReplaced) {
  TextVectorization strict;
  const std::string told = message_of<DataError>([&] { strict.adapt(Texts{"good", "ab\xFF"}); });
  EXPECT_NE(told.find("text 1: byte 3 (0xFF) is not UTF-8"), told.npos) << told;
  strict.adapt(Texts{"good"});
  EXPECT_THROW(strict.encode("\xC3"), DataError);
  EXPECT_EQ(strict.vocabulary(), (Texts{"", "[UNK]", "good"}));

  TextVectorization lenient({.split = Split::character, .invalid_utf8 = InvalidUtf8::replace});
  lenient.adapt(Texts{"a\xFF", "a"});
  EXPECT_EQ(lenient.vocabulary(), (Texts{"", "[UNK]", "a", "\xEF\xBF\xBD"}));
  EXPECT_EQ(lenient.encode("a\xE2\x82z").size(), 3u);
}

TEST(TextVectorization, RefusesWhatCannotBe) {
  EXPECT_THROW(TextVectorization({.max_tokens = 2}), UsageError);
  EXPECT_THROW(TextVectorization({.max_tokens = -1}), UsageError);
  EXPECT_THROW(TextVectorization({.max_tokens = std::int64_t{1} << 40}), UsageError);
  EXPECT_THROW(TextVectorization({.output_sequence_length = -1}), UsageError);
  EXPECT_THROW(TextVectorization({.ids = {.oov = 2, .first_word = 2}}), UsageError);
  EXPECT_THROW(TextVectorization({.ids = {.oov = 2, .first_word = 4, .start = 2}}), UsageError);
  TextVectorization vectorize({.max_tokens = 4});
  EXPECT_THROW(vectorize.encode("a"), UsageError) << "no vocabulary yet";
  EXPECT_THROW(vectorize.set_vocabulary({"a", "a"}), UsageError);
  EXPECT_THROW(vectorize.set_vocabulary({"a", "b", "c"}), UsageError);
  EXPECT_THROW(vectorize.set_vocabulary({"a", ""}), UsageError);
  EXPECT_THROW(vectorize.set_vocabulary({"[UNK]", "a"}), UsageError);
  EXPECT_THROW(vectorize.set_vocabulary({"\xFF"}), UsageError);
  EXPECT_THROW(vectorize.encode("a"), UsageError) << "a refused vocabulary must leave nothing behind";
}

class SavedVectorizer : public ::testing::Test {
 protected:
  TempDir dir;
  TextVectorization vectorize{
      {.max_tokens = 9, .split = Split::character, .output_sequence_length = 4, .ids = imdb_ids}};
  void SetUp() override { vectorize.adapt(Texts{"äöü \"\\\n\u0001 \U0001F600"}); }
};

TEST_F(SavedVectorizer, ComesBackAsItWas) {
  vectorize.save(dir / "v.json");
  const TextVectorization back = TextVectorization::load(dir / "v.json");
  EXPECT_EQ(back.vocabulary(), vectorize.vocabulary());
  EXPECT_EQ(back.options().max_tokens, 9);
  EXPECT_EQ(back.options().ids, imdb_ids);
  EXPECT_EQ(ids(back({"äxö üü"})), ids(vectorize({"äxö üü"})));
  TextVectorization empty({.standardize = Standardize::lower, .invalid_utf8 = InvalidUtf8::replace});
  empty.save(dir / "empty.json");
  const TextVectorization empty_back = TextVectorization::load(dir / "empty.json");
  EXPECT_TRUE(empty_back.vocabulary().empty());
  EXPECT_EQ(empty_back.options().standardize, Standardize::lower);
  EXPECT_EQ(empty_back.options().invalid_utf8, InvalidUtf8::replace);
}

TEST_F(SavedVectorizer, NeverLeavesAPartialFile) {
  vectorize.save(dir / "v.json");
  const std::string before = read_file(dir / "v.json");
  for (std::int64_t at = 1;; ++at) {
    const io::FileFault fault(at, ENOSPC);
    try {
      vectorize.save(dir / "v.json");
    } catch (const FileError&) {
      EXPECT_EQ(read_file(dir / "v.json"), before);
      EXPECT_EQ(dir.names().size(), 1u);
      continue;
    }
    EXPECT_GT(at, 4);
    break;
  }
  EXPECT_THROW(vectorize.save(dir / "no" / "such"), FileError);
}

TEST_F(SavedVectorizer, RefusesOtherFilesByName) {
  vectorize.save(dir / "v.json");
  const std::string good = read_file(dir / "v.json");
  const auto refused = [&](const std::string& content) {
    write_file(dir / "bad.json", content);
    const std::string told = message_of<DataError>([&] { TextVectorization::load(dir / "bad.json"); });
    EXPECT_NE(told.find("bad.json"), told.npos) << told;
  };
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = good;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, changed.npos) << from;
    if (at != changed.npos) changed.replace(at, from.size(), to);
    return changed;
  };
  refused("");
  refused("{}");
  refused("[]");
  refused(std::string(100'000, '['));
  refused(good.substr(0, good.size() / 2));
  refused(with("\"character\"", "\"letters\""));
  refused(with("\"max_tokens\": 9", "\"max_tokens\": -9"));
  refused(with("\"max_tokens\": 9", "\"max_tokens\": 9e300"));
  refused(with("\"max_tokens\": 9", "\"max_tokens\": 5"));  // fewer than the words that it has
  refused(with("\"oov_id\": 2", "\"oov_id\": 77"));
  refused(with("\"first_word_id\": 4", "\"first_word_id\": 2147483647"));
  refused(with("\"[UNUSED]\"", "7"));
  refused(with("vectorization 1", "vectorization 2"));
  refused(good + "\xFF");
  EXPECT_THROW(TextVectorization::load(dir / "none.json"), FileError);
}

TEST(Utf8, EveryRuleOfTheTable) {
  const auto bad = [](const std::string& text) { return io::find_invalid_utf8(text); };
  constexpr std::size_t kGood = std::string::npos;
  EXPECT_EQ(bad(""), kGood);
  EXPECT_EQ(bad("plain \x7F\0 text"s), kGood);
  for (const char* good : {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(bad("12345678" + std::string(good) + "x"), kGood);
  }
  for (const char* broken :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xF0\x9F\x98"}) {
    EXPECT_EQ(bad("1234567890" + std::string(broken)), 10u);
    EXPECT_EQ(bad("ä" + std::string(broken) + "z"), 2u);
  }
}

TEST(Utf8, ReplacesEveryLongestPiece) {
  const auto replaced = [](const char* text) { return io::replace_invalid_utf8(text); };
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replaced("ok ä"), "ok ä");
  EXPECT_EQ(replaced("a\xFF"), "a" + r);
  EXPECT_EQ(replaced("a\xE2\x82z"), "a" + r + "z");  // the beginning of a character is one piece
  EXPECT_EQ(replaced("\xF0\x9F\x98"), r);
  EXPECT_EQ(replaced("\xE0\x80\x80"), r + r + r);  // 0x80 cannot follow here: three pieces
  EXPECT_EQ(replaced("\xED\xA0\x80"), r + r + r);  // a surrogate
  EXPECT_EQ(replaced("\xC3\xC3\xA4\xFF\xFE"), r + "ä" + r + r);
}

}  // namespace
}  // namespace gpunn
