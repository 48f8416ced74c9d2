// Keras's IMDb reviews.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "gpunn/text.hpp"
#include "src/core/text.hpp"
#include "src/io/npy.hpp"
#include "src/io/zip.hpp"

namespace gpunn::data {
namespace {

struct Part {
  std::vector<std::vector<std::int32_t>> x;
  std::vector<std::int32_t> y;
};

Part read_part(const io::ZipFile& archive, const std::string& file, const std::string& part,
               std::int64_t max_bytes) {
  const auto array = [&](const std::string& name, const auto& take) {
    const std::string where = cat(file, ", ", name);
    const std::vector<std::byte> bytes = archive.read(name, max_bytes);
    return take(io::parse_npy(bytes, where), where);
  };
  Part result{array("x_" + part + ".npy", io::npy_integer_lists),
              array("y_" + part + ".npy", io::npy_integers)};
  if (result.x.size() != result.y.size())
    throw DataError(cat(file, ": ", result.x.size(), " reviews and ", result.y.size(), " labels in ", part));
  return result;
}

// numpy's RandomState.shuffle(arange(n)): from the last place down, each changes with one at or below
// it, drawn by taking as many bits as it needs until they are in range.
std::vector<std::size_t> numpy_order(std::size_t n, std::mt19937& random) {
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  for (std::size_t i = n; i-- > 1;) {
    std::uint32_t mask = static_cast<std::uint32_t>(i), drawn = 0;
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    do {
      drawn = static_cast<std::uint32_t>(random()) & mask;
    } while (drawn > i);
    std::swap(order[i], order[drawn]);
  }
  return order;
}

// The reviews in Keras's order, with the start in front and ids moved up.
Part arrange(Part part, const ImdbOptions& options, std::mt19937& random, const std::string& file) {
  Part result;
  for (const std::size_t i : numpy_order(part.x.size(), random)) {
    std::vector<std::int32_t> review;
    if (options.start_char) review.push_back(*options.start_char);
    for (const std::int32_t word : part.x[i]) {
      if (word < 0 || word > std::numeric_limits<std::int32_t>::max() - options.index_from)
        throw DataError(cat(file, ": review ", i, " has a word number ", word));
      review.push_back(word + options.index_from);
    }
    if (options.maxlen > 0 && std::ssize(review) >= options.maxlen) continue;
    result.x.push_back(std::move(review));
    result.y.push_back(part.y[i]);
  }
  return result;
}

void limit_words(Part& part, const ImdbOptions& options, std::int64_t num_words) {
  for (auto& review : part.x) {
    const auto known = [&](std::int32_t word) { return word >= options.skip_top && word < num_words; };
    if (options.oov_char) {
      std::ranges::replace_if(
          review, [&](std::int32_t word) { return !known(word); }, *options.oov_char);
    } else {
      std::erase_if(review, [&](std::int32_t word) { return !known(word); });
    }
  }
}

std::int64_t largest(const Part& part) {
  std::int64_t word = 0;
  for (const auto& review : part.x) {
    for (const std::int32_t id : review) word = std::max<std::int64_t>(word, id);
  }
  return word;
}

Sequences sequences(Part part) {
  return {std::move(part.x), Tensor::of({std::ssize(part.y)}, part.y)};
}

}  // namespace

ImdbData imdb(const std::filesystem::path& path, const ImdbOptions& options) {
  if (options.num_words < 0 || options.skip_top < 0 || options.maxlen < 0 || options.index_from < 0 ||
      options.start_char.value_or(0) < 0 || options.oov_char.value_or(0) < 0) {
    throw UsageError("imdb: an option is negative");
  }
  const std::string file = path.string();
  const io::ZipFile archive(path);
  std::mt19937 random(options.seed);  // numpy's generator; it goes on from the training part to the test part
  const auto part = [&](const char* name) {
    return arrange(read_part(archive, file, name, options.max_bytes), options, random, file);
  };
  Part train = part("train"), test = part("test");
  if (train.x.empty() || test.x.empty()) {
    throw DataError(options.maxlen > 0 ? cat(file, ": no review is shorter than maxlen = ", options.maxlen)
                                       : cat(file, ": no reviews"));
  }
  // Keras's, the largest id itself being out of vocabulary then.
  const std::int64_t num_words =
      options.num_words > 0 ? options.num_words : std::max(largest(train), largest(test));
  limit_words(train, options, num_words);
  limit_words(test, options, num_words);
  return {.train = sequences(std::move(train)), .test = sequences(std::move(test))};
}

std::vector<std::string> imdb_words(const std::filesystem::path& path) {
  const std::string text = text_file(path);
  const auto wrong = [&](const std::string& what) {
    return DataError(cat(path.string(), ": not a word index: ", what));
  };
  try {
    const auto index = nlohmann::json::parse(text);
    if (!index.is_object()) throw wrong("it is no object");
    std::vector<std::string> words(index.size());
    for (const auto& [word, rank] : index.items()) {
      if (!rank.is_number_integer() || rank < 1 || rank > index.size())
        throw wrong(cat("the rank of ", in_quotes(word), " is ", in_quotes(rank.dump())));
      std::string& place = words[rank.get<std::size_t>() - 1];
      if (!place.empty()) throw wrong(cat(in_quotes(word), " and ", in_quotes(place), " have one rank"));
      place = word;
    }
    return words;
  } catch (const nlohmann::json::exception& error) {
    throw wrong(error.what());
  }
}

}  // namespace gpunn::data
