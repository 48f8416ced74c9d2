#include <algorithm>
#include <limits>
#include <utility>

#include "gpunn/text.hpp"
#include "src/core/text.hpp"
#include "src/io/utf8.hpp"

namespace gpunn {
namespace {

constexpr const char* kOov = "[UNK]";
constexpr const char* kStart = "[START]";
constexpr const char* kUnused = "[UNUSED]";
constexpr std::int64_t kMostIds = std::numeric_limits<std::int32_t>::max();

// ASCII alone, whatever the locale says.
bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// The text that is to be split, in `result`.
void standardize(std::string_view text, Standardize how, std::string& result) {
  const bool lower = how == Standardize::lower || how == Standardize::lower_and_strip_punctuation;
  const bool strip = how == Standardize::strip_punctuation || how == Standardize::lower_and_strip_punctuation;
  result.clear();
  for (const char c : text) {
    if (strip && is_punctuation(c)) continue;
    result += lower && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
}

// UTF-8, or a DataError naming the text; the replaced text lives in `storage`.
std::string_view checked(std::string_view text, std::int64_t number, InvalidUtf8 how, std::string& storage) {
  const std::size_t bad = io::find_invalid_utf8(text);
  if (bad == text.npos) return text;
  if (how == InvalidUtf8::error) {
    throw DataError(cat("TextVectorization: text ", number, ": ", io::describe_invalid_utf8(text, bad),
                        "; invalid_utf8 = InvalidUtf8::replace takes such text"));
  }
  storage = io::replace_invalid_utf8(text);
  return storage;
}

// Calls use(token) for each token of a text.
template <class Use>
void for_each_token(std::string_view text, std::int64_t number, const TextVectorizationOptions& options,
                    Use use) {
  std::string replaced, standardized;
  standardize(checked(text, number, options.invalid_utf8, replaced), options.standardize, standardized);
  const std::string_view all = standardized;
  if (options.split == Split::character) {
    std::size_t broken = 0;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t length = io::utf8_length(all.substr(at), broken);
      use(all.substr(at, length));
      at += length;
    }
    return;
  }
  for (std::size_t at = 0; at < all.size();) {
    if (is_space(all[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < all.size() && !is_space(all[at])) ++at;
    use(all.substr(begin, at - begin));
  }
}

// The tokens of the ids before the first word.
std::vector<std::string> special_tokens(const TokenIds& ids) {
  std::vector<std::string> tokens(static_cast<std::size_t>(ids.first_word), kUnused);
  tokens[0] = "";
  tokens[static_cast<std::size_t>(ids.oov)] = kOov;
  if (ids.start) tokens[static_cast<std::size_t>(*ids.start)] = kStart;
  return tokens;
}

}  // namespace

TextVectorization::TextVectorization(TextVectorizationOptions options, SourceLocation where)
    : options_(options) {
  const auto expect = [&](bool ok, const std::string& what) {
    if (!ok) throw UsageError("TextVectorization: " + what, where);
  };
  const TokenIds& ids = options_.ids;
  constexpr std::int32_t kMostSpecial = 1000;
  expect(ids.first_word > 0 && ids.first_word <= kMostSpecial,
         cat("the first word's id is ", ids.first_word));
  expect(ids.oov > 0 && ids.oov < ids.first_word,
         cat("the out-of-vocabulary id ", ids.oov, " is not between padding and the words"));
  expect(!ids.start || (*ids.start > 0 && *ids.start < ids.first_word && *ids.start != ids.oov),
         cat("the start id ", ids.start.value_or(0), " is not free"));
  expect(
      options_.max_tokens == 0 || (options_.max_tokens > ids.first_word && options_.max_tokens <= kMostIds),
      cat("max_tokens is ", options_.max_tokens,
          "; it counts padding and other special ids, of which there are ", ids.first_word));
  expect(options_.output_sequence_length >= 0,
         cat("output_sequence_length is ", options_.output_sequence_length));
}

void TextVectorization::adapt(std::span<const std::string> texts) {
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> counts;
  std::int64_t number = 0;
  for (const std::string& text : texts) {
    for_each_token(text, number++, options_, [&](std::string_view token) {
      const auto known = counts.find(token);
      if (known != counts.end()) {
        ++known->second;
      } else {
        counts.emplace(token, 1);
      }
    });
  }
  for (const std::string& special : special_tokens(options_.ids)) counts.erase(special);

  std::vector<std::pair<std::int64_t, std::string>> order;
  order.reserve(counts.size());
  for (auto& [token, count] : counts) order.emplace_back(count, token);
  std::ranges::sort(order, std::greater<>());  // by count, then by bytes, both descending
  const auto room = static_cast<std::size_t>((options_.max_tokens == 0 ? kMostIds : options_.max_tokens) -
                                             options_.ids.first_word);
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < std::min(order.size(), room); ++i) tokens.push_back(std::move(order[i].second));
  set_vocabulary(std::move(tokens));
}

void TextVectorization::set_vocabulary(std::vector<std::string> tokens) {
  const auto refuse = [](const std::string& what) { throw UsageError("TextVectorization: " + what); };
  std::vector<std::string> vocabulary = special_tokens(options_.ids);
  const std::size_t special = vocabulary.size();
  const bool given =
      tokens.size() >= special && std::equal(vocabulary.begin(), vocabulary.end(), tokens.begin());
  if (given) tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(special));
  for (std::string& token : tokens) vocabulary.push_back(std::move(token));
  const std::int64_t most = options_.max_tokens == 0 ? kMostIds : options_.max_tokens;
  if (std::ssize(vocabulary) > most) refuse(cat(vocabulary.size(), " ids, where max_tokens is ", most));

  decltype(id_of_) ids;
  for (std::size_t id = special; id < vocabulary.size(); ++id) {
    const std::string& token = vocabulary[id];
    const auto last_special = vocabulary.begin() + static_cast<std::ptrdiff_t>(special);
    if (std::find(vocabulary.begin(), last_special, token) != last_special) {
      refuse(cat("the special token ", in_quotes(token), " stands among the words"));
    }
    if (io::find_invalid_utf8(token) != token.npos) refuse(cat("token ", id, " is not UTF-8"));
    if (!ids.emplace(token, static_cast<std::int32_t>(id)).second) {
      refuse(cat("the token ", in_quotes(token), " stands twice in the vocabulary"));
    }
  }
  vocabulary_ = std::move(vocabulary);
  id_of_ = std::move(ids);
}

std::int32_t TextVectorization::id_of(std::string_view token) const {
  const auto known = id_of_.find(token);
  return known == id_of_.end() ? options_.ids.oov : known->second;
}

void TextVectorization::encode_into(std::string_view text, std::int64_t number,
                                    std::vector<std::int32_t>& ids) const {
  if (vocabulary_.empty())
    throw UsageError("TextVectorization: there is no vocabulary; call adapt() or set_vocabulary() first");
  ids.clear();
  if (options_.ids.start) ids.push_back(*options_.ids.start);
  for_each_token(text, number, options_, [&](std::string_view token) { ids.push_back(id_of(token)); });
}

std::vector<std::int32_t> TextVectorization::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  encode_into(text, 0, ids);
  return ids;
}

Tensor TextVectorization::operator()(std::span<const std::string> texts) const {
  std::vector<std::vector<std::int32_t>> sequences(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    encode_into(texts[i], static_cast<std::int64_t>(i), sequences[i]);
  return pad_sequences(
      sequences,
      {.maxlen = options_.output_sequence_length, .padding = Side::post, .truncating = Side::post});
}

Tensor TextVectorization::operator()(std::initializer_list<std::string> texts) const {
  return (*this)(std::span<const std::string>(texts.begin(), texts.size()));
}

std::string TextVectorization::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  bool first = true;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary_size())
      throw UsageError(cat("TextVectorization: id ", id, " of a vocabulary of ", vocabulary_size()));
    if (id == 0) continue;
    if (!first && options_.split == Split::whitespace) text += ' ';
    first = false;
    text += vocabulary_[static_cast<std::size_t>(id)];
  }
  return text;
}

}  // namespace gpunn
