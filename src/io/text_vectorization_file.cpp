// Saved vectorizers: their options, in Keras's words, and their vocabulary, as JSON.
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gpunn/text.hpp"
#include "src/core/text.hpp"
#include "src/io/file.hpp"

namespace gpunn {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "gpunn text vectorization 1";

template <class Enum>
using Names = std::vector<std::pair<Enum, const char*>>;

const Names<Standardize> kStandardize = {
    {Standardize::none, "none"},
    {Standardize::lower, "lower"},
    {Standardize::strip_punctuation, "strip_punctuation"},
    {Standardize::lower_and_strip_punctuation, "lower_and_strip_punctuation"}};
const Names<Split> kSplit = {{Split::whitespace, "whitespace"}, {Split::character, "character"}};
const Names<InvalidUtf8> kInvalidUtf8 = {{InvalidUtf8::error, "error"}, {InvalidUtf8::replace, "replace"}};

template <class Enum>
const char* name_of(const Names<Enum>& names, Enum value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  throw UsageError("TextVectorization: an option has a value that it cannot have");
}

template <class Enum>
Enum value_of(const Names<Enum>& names, const Json& json) {
  for (const auto& [value, name] : names) {
    if (json == name) return value;
  }
  throw DataError(cat(in_quotes(json.dump()), " is not known"));
}

std::int64_t whole(const Json& json, std::int64_t most) {
  if (!json.is_number_integer() || json < 0 || json > most)
    throw DataError(cat(in_quotes(json.dump()), " is not a whole number up to ", most));
  return json.get<std::int64_t>();
}

TextVectorization from_json(const Json& json) {
  if (!json.is_object() || json.value("format", "") != kFormat) throw DataError("it is no saved vectorizer");
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto id = [&](const char* key) { return static_cast<std::int32_t>(whole(json.at(key), kMost)); };
  TextVectorizationOptions options{.max_tokens = whole(json.at("max_tokens"), kMost),
                                   .standardize = value_of(kStandardize, json.at("standardize")),
                                   .split = value_of(kSplit, json.at("split")),
                                   .output_sequence_length = whole(json.at("output_sequence_length"), kMost),
                                   .ids = {.oov = id("oov_id"), .first_word = id("first_word_id")},
                                   .invalid_utf8 = value_of(kInvalidUtf8, json.at("invalid_utf8"))};
  if (!json.at("start_id").is_null()) options.ids.start = id("start_id");
  TextVectorization result(options, {});
  if (!json.at("vocabulary").is_null())
    result.set_vocabulary(json.at("vocabulary").get<std::vector<std::string>>());
  return result;
}

}  // namespace

void TextVectorization::save(const std::filesystem::path& path) const {
  Json json = {{"format", kFormat},
               {"max_tokens", options_.max_tokens},
               {"standardize", name_of(kStandardize, options_.standardize)},
               {"split", name_of(kSplit, options_.split)},
               {"output_sequence_length", options_.output_sequence_length},
               {"invalid_utf8", name_of(kInvalidUtf8, options_.invalid_utf8)},
               {"oov_id", options_.ids.oov},
               {"first_word_id", options_.ids.first_word},
               {"start_id", nullptr},
               {"vocabulary", nullptr}};
  if (options_.ids.start) json["start_id"] = *options_.ids.start;
  if (!vocabulary_.empty()) json["vocabulary"] = vocabulary_;
  const std::string text = json.dump(0) + "\n";
  io::AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

TextVectorization TextVectorization::load(const std::filesystem::path& path) {
  const std::string text = data::text_file(path);
  const auto wrong = [&](const std::exception& error) {
    return DataError(cat(path.string(), ": not a vectorizer that can be loaded: ", error.what()));
  };
  try {
    return from_json(Json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    throw wrong(error);
  } catch (const DataError& error) {
    throw wrong(error);
  } catch (const UsageError& error) {
    throw wrong(error);
  }
}

}  // namespace gpunn
