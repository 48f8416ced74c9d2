// Text to train on: from files, to ids of words or characters, to rows of one length or batches of several.
//
//   const auto reviews = gpunn::data::text_table("reviews.tsv", {.label_column = "label"});
//   gpunn::TextVectorization vectorize({.max_tokens = 10000, .output_sequence_length = 100});
//   vectorize.adapt(reviews.texts);
//   model.fit(vectorize(reviews.texts), *reviews.y);
//
// Text is UTF-8. What is not UTF-8 is a DataError that says where, or, on request, replaced by U+FFFD.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gpunn/data.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "gpunn/tensor.hpp"

namespace gpunn {

// replace: a U+FFFD for every longest piece that begins a character and does not end it, and for every other
// byte that belongs to none.
enum class InvalidUtf8 : std::uint8_t { error, replace };

// ---- Text to ids ------------------------------------------------------------------------------------------

// Which ids stand for what. 0 is always padding.
struct TokenIds {
  std::int32_t oov = 1;  // out of vocabulary: every word that the vocabulary does not have
  std::int32_t first_word = 2;
  std::optional<std::int32_t> start = {};  // if there is one, it is put before every text
  friend bool operator==(const TokenIds&, const TokenIds&) = default;
};
inline constexpr TokenIds keras_ids{};  // of Keras's TextVectorization
// Of Keras's IMDb reviews: start_char 1, oov_char 2, index_from 3, so that the most frequent word is 4.
inline constexpr TokenIds imdb_ids{.oov = 2, .first_word = 4, .start = 1};

// As in Keras: `lower` makes a to z of A to Z and leaves every other character alone ("É" stays "É"); the
// punctuation that is stripped is ASCII's: !"#$%&'()*+,-./:;<=>?@[\]^_`{|}~. What it stood between is joined.
enum class Standardize : std::uint8_t { none, lower, strip_punctuation, lower_and_strip_punctuation };

// whitespace: at blanks, tabs, line feeds, vertical tabs, form feeds and carriage returns, and nowhere else.
// character: every code point is a token.
enum class Split : std::uint8_t { whitespace, character };

struct TextVectorizationOptions {
  std::int64_t max_tokens =
      0;  // ids in all, padding and out-of-vocabulary among them; 0: as many as there are
  Standardize standardize = Standardize::lower_and_strip_punctuation;
  Split split = Split::whitespace;
  std::int64_t output_sequence_length = 0;  // longer texts lose their end; 0: the longest text of each call
  TokenIds ids = keras_ids;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::error;
};

// Keras's TextVectorization: standardises a text, splits it, and looks the tokens up in a vocabulary.
class GPUNN_API TextVectorization {
 public:
  // Throws UsageError for options out of range.
  explicit TextVectorization(TextVectorizationOptions options = {},
                             SourceLocation where = SourceLocation::current());

  // Makes the vocabulary anew: the most frequent tokens first, equally frequent ones in the descending order
  // of their bytes, as Keras orders them. Throws DataError naming the text and the byte that is no UTF-8.
  void adapt(std::span<const std::string> texts);
  // The tokens of ids ids.first_word, ...; the special ones may stand before them, as vocabulary() gives
  // them. They are taken as they are, not standardised. Throws UsageError for a token that stands there twice
  // or is not UTF-8, for a special one elsewhere, and for more than max_tokens.
  void set_vocabulary(std::vector<std::string> tokens);
  // The token of every id: "" (padding), "[UNK]" (out of vocabulary), then the words; "[START]" and
  // "[UNUSED]" where `ids` leaves room for them.
  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  std::int64_t vocabulary_size() const { return static_cast<std::int64_t>(vocabulary_.size()); }

  // The ids of each text, padded with 0 at the end: i32 [texts, length]. Without output_sequence_length the
  // length can be 0, when no text has a token. Throws UsageError before adapt() or set_vocabulary(), and
  // DataError as adapt() does.
  Tensor operator()(std::span<const std::string> texts) const;
  Tensor operator()(std::initializer_list<std::string> texts) const;
  // The ids of one text, neither padded nor cut.
  std::vector<std::int32_t> encode(std::string_view text) const;
  // The tokens of ids, without padding; words with a blank between them. Throws UsageError for other ids.
  std::string decode(std::span<const std::int32_t> ids) const;

  // Options and vocabulary as JSON; never leaves a partial file. Throws FileError.
  void save(const std::filesystem::path& path) const;
  // Throws FileError, and DataError for a file that save() did not write.
  static TextVectorization load(const std::filesystem::path& path);

  const TextVectorizationOptions& options() const { return options_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::int32_t id_of(std::string_view token) const;
  void encode_into(std::string_view text, std::int64_t number, std::vector<std::int32_t>& ids) const;

  TextVectorizationOptions options_;
  std::vector<std::string> vocabulary_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> id_of_;
};

// ---- Rows of one length, and batches of several -----------------------------------------------------------

enum class Side : std::uint8_t { pre, post };  // the beginning or the end of a sequence

// Keras's defaults: padding before, and what is too long loses its beginning.
struct PadOptions {
  std::int64_t maxlen = 0;  // 0: the longest sequence
  Side padding = Side::pre;
  Side truncating = Side::pre;
  std::int32_t value = 0;
};

// i32 [sequences, maxlen]. Throws UsageError for a negative maxlen.
GPUNN_API Tensor pad_sequences(std::span<const std::vector<std::int32_t>> sequences, PadOptions options = {});

// Sequences of different lengths, each in the smallest bucket that holds it. fit() and evaluate() make every
// batch of one bucket and pad it to that bucket's length alone, which spares the steps that are only padding;
// predict() pads all to maxlen. The model is an Input({maxlen}) and must not depend on the length otherwise:
// a Flatten or a Reshape is a ShapeError at the first shorter batch. Where padding is not masked, a model
// sees more of it in longer buckets.
//
// A step is planned for each bucket, and one more for its last batch where that is not full: a few buckets
// do.
struct SequenceOptions {
  PadOptions pad = {};
  std::vector<std::int64_t> buckets = {};  // ascending lengths below maxlen, which is the last one
  std::optional<Tensor> weights = {};      // [samples] f32
};

class GPUNN_API SequenceDataset final : public Dataset {
 public:
  // Targets are [samples, ...]. Throws ShapeError when their numbers differ, UsageError for buckets that are
  // not in order.
  SequenceDataset(std::vector<std::vector<std::int32_t>> sequences, Tensor y, SequenceOptions options = {},
                  SourceLocation where = SourceLocation::current());

  std::int64_t size() const override { return static_cast<std::int64_t>(sequences_.size()); }
  std::vector<Field> inputs() const override;
  std::vector<Field> targets() const override;
  bool has_weights() const override { return options_.weights.has_value(); }
  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override;
  std::vector<std::int64_t> bucket_lengths() const override { return options_.buckets; }
  std::size_t bucket_of(std::int64_t sample) const override;
  void read_bucket(std::size_t bucket, std::span<const std::int64_t> rows,
                   std::span<std::byte* const> fields) const override;

 private:
  std::vector<std::vector<std::int32_t>> sequences_;
  Tensor y_;
  SequenceOptions options_;
};

// ---- Files ------------------------------------------------------------------------------------------------

namespace data {

struct TextOptions {
  InvalidUtf8 invalid_utf8 = InvalidUtf8::error;
  std::int64_t max_bytes = std::int64_t{1} << 34;  // of text, after decompression; more throws DataError
};

// A whole file, plain or .gz, without its byte order mark. Throws DataError "file:line: byte ..." where it is
// not UTF-8.
GPUNN_API std::string text_file(const std::filesystem::path& path, const TextOptions& options = {});
// Its lines, without their ends (LF or CRLF). Empty lines are kept; a line end before the end of the file
// begins no line.
GPUNN_API std::vector<std::string> text_lines(const std::filesystem::path& path,
                                              const TextOptions& options = {});

struct TextTableOptions {
  bool header = true;  // the first line (after skip_lines) names the columns
  int skip_lines = 0;
  std::optional<char> delimiter = {};  // default: a tab in .tsv (.tsv.gz) files, else a comma
  std::optional<bool> quotes = {};     // fields may stand in quotes (RFC 4180); default: unless tabs delimit
  CsvColumn text_column = "text";
  std::optional<CsvColumn> label_column = {};
  CsvOptions::Labels labels = CsvOptions::Labels::numbers;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::error;
  std::int64_t max_bytes = std::int64_t{1} << 34;
};

struct TextTable {
  std::vector<std::string> texts;
  std::optional<Tensor> y;           // [rows], f32 or i32
  std::vector<std::string> classes;  // names of the classes, for Labels::names
};

// One column of text and one of labels from a CSV or TSV file, plain or .gz. Throws DataError as csv_table()
// does, and for a field that is not UTF-8.
GPUNN_API TextTable text_table(const std::filesystem::path& path, const TextTableOptions& options = {});

struct Sequences {
  std::vector<std::vector<std::int32_t>> x;
  Tensor y;  // [sequences] i32
};

// Of keras.datasets.imdb.load_data, with its defaults.
struct ImdbOptions {
  std::int64_t num_words = 0;  // ids below it are kept, the others are oov_char; 0: all
  std::int64_t skip_top = 0;   // so many of the most frequent ids are oov_char, too
  std::int64_t maxlen = 0;     // leave out reviews that are not shorter; 0: none
  std::uint32_t seed = 113;    // of the order of the reviews, which is Keras's
  std::optional<std::int32_t> start_char = 1;
  std::optional<std::int32_t> oov_char = 2;  // none: such words are left out
  std::int32_t index_from = 3;
  std::int64_t max_bytes = std::int64_t{1} << 30;  // of one array, after decompression
};

struct ImdbData {
  Sequences train, test;
};

// Keras's imdb.npz. Its lists of words are Python pickles, of
// which only what numpy writes for lists of whole numbers is understood: nothing in the file is executed.
// Throws FileError and DataError.
GPUNN_API ImdbData imdb(const std::filesystem::path& path, const ImdbOptions& options = {});

// Keras's imdb_word_index.json as the vocabulary of a TextVectorization with imdb_ids: words by rank.
GPUNN_API std::vector<std::string> imdb_words(const std::filesystem::path& path);

}  // namespace data
}  // namespace gpunn
