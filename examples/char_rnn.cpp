// An LSTM learns a text character by character and writes more of its kind.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/vocabulary.hpp"

constexpr const char* kName = "char_rnn";
constexpr std::int64_t kSteps = 100;  // characters that are seen at a time

static gpunn::Sequential make_model(const gpunn::TextVectorization& vectorize, const example::Flags& flags) {
  const std::int64_t characters = vectorize.vocabulary_size();
  gpunn::Sequential model(
      {
          gpunn::Input({kSteps}, {.dtype = gpunn::Dtype::i32}),
          gpunn::Embedding(characters, 32),
          gpunn::LSTM(128, {.return_sequences = true}),
          gpunn::Dense(characters, {.activation = gpunn::softmax}),
      },
      flags.model(example::name_with(kName, vectorize)));
  model.compile({
      .optimizer = gpunn::Adam({.learning_rate = flags.learning_rate}),
      .loss = gpunn::SparseCategoricalCrossentropy(),
      .metrics = {gpunn::accuracy},
  });
  return model;
}

// Each row of kSteps characters is to be followed by the same row, one character on.
static gpunn::DatasetPtr windows(std::span<const std::int32_t> ids, const char* which) {
  const std::int64_t rows = (std::ssize(ids) - 1) / kSteps;
  if (rows < 1) {
    throw gpunn::DataError(std::string(which) + " of the text has fewer than " + std::to_string(kSteps + 1) +
                           " characters: " + std::to_string(ids.size()));
  }
  const auto row_count = static_cast<std::size_t>(rows * kSteps);
  return std::make_shared<gpunn::TensorDataset>(gpunn::Tensor::of({rows, kSteps}, ids.subspan(0, row_count)),
                                                gpunn::Tensor::of({rows, kSteps}, ids.subspan(1, row_count)));
}

// The next character after `ids`, at random: p ^ (1 / temperature), beside the likeliest, or all would
// underflow where it is cold. Padding and unknown characters (0, 1) are not written.
static std::int32_t next_character(gpunn::Model& model, std::span<const std::int32_t> ids, double temperature,
                                   float random) {
  const auto seen = ids.last(std::min<std::size_t>(ids.size(), kSteps));
  const gpunn::Tensor row =
      gpunn::pad_sequences(std::vector<std::vector<std::int32_t>>{{seen.begin(), seen.end()}},
                           {.maxlen = kSteps, .padding = gpunn::Side::post});
  const gpunn::Tensor output = model.predict(row);
  const auto characters = static_cast<std::size_t>(output.shape()[2]);
  const auto p = output.data<float>().subspan((seen.size() - 1) * characters, characters);
  const double likeliest = *std::max_element(p.begin() + 2, p.end());
  if (!(likeliest > 0)) throw gpunn::Error("the model has no next character: its weights have diverged");
  std::vector<double> up_to(characters);
  double sum = 0;
  for (std::size_t c = 2; c < characters; ++c) up_to[c] = sum += std::pow(p[c] / likeliest, 1 / temperature);
  const auto chosen = std::upper_bound(up_to.begin() + 2, up_to.end() - 1, random * sum);
  return static_cast<std::int32_t>(chosen - up_to.begin());
}

static void write_sample(gpunn::Model& model, const gpunn::TextVectorization& vectorize,
                         const std::string& prime, double temperature, std::int64_t length,
                         std::uint64_t seed) {
  std::vector<std::int32_t> ids = vectorize.encode(prime);
  for (std::int64_t i = 0; i < length; ++i) {
    const float random = gpunn::uniform01({.seed = seed}, static_cast<std::uint64_t>(i));
    ids.push_back(next_character(model, ids, temperature, random));
  }
  const std::string text = vectorize.decode(ids);
  std::printf("%s\n", text.c_str());
  example::add_result("text", example::json_string(text));
}

int main(int argc, char** argv) {
  std::string saved, prime = "The film ";
  double temperature = 0.7;
  std::int64_t length = 400;
  example::About about{
      .name = kName,
      .description = "Trains an LSTM on a text file, character by character, and writes a text like it.",
      .defaults = {.epochs = 10,
                   .learning_rate = 0.002,
                   .data = "data/reviews/train.tsv",
                   .save = "char_rnn.safetensors"},
  };
  about.options = {{"--load",
                    "write with the model from this file, as --save left it, instead of training; its flags "
                    "are not looked at",
                    &saved},
                   {"--prime", "how the text begins", &prime},
                   {"--temperature", "below 1: the likely; above 1: the unlikely, too", &temperature},
                   {"--length", "characters to write", &length}};
  return example::run(argc, argv, about, [&](const example::Flags& flags) {
    if (prime.empty() || !(temperature > 0))
      throw gpunn::UsageError("--prime and --temperature must not be empty or zero");
    if (!saved.empty()) {
      auto [model, vectorize] = example::load_text_model(kName, saved, flags);
      write_sample(model, vectorize, prime, temperature, length, flags.seed);
      return 0;
    }
    std::string text;
    if (flags.data.ends_with(".tsv")) {  // the examples' reviews: the sentences, one per line
      for (const std::string& sentence : gpunn::data::text_table(flags.data).texts) text += sentence + "\n";
    } else {
      text = gpunn::data::text_file(flags.data);
    }
    gpunn::TextVectorization vectorize(
        {.standardize = gpunn::Standardize::none, .split = gpunn::Split::character});
    vectorize.adapt(std::vector{text});
    const std::vector<std::int32_t> ids = vectorize.encode(text);
    const std::size_t cut = ids.size() / 10 * 9;  // the last tenth is the test
    const auto train = windows(std::span(ids).first(cut), "the part for training (nine tenths)");
    const auto test = windows(std::span(ids).subspan(cut), "the part for the test (the last tenth)");
    gpunn::Sequential model = make_model(vectorize, flags);
    const int code = example::train(model, {train, test, test}, flags, {}, &vectorize);
    write_sample(model, vectorize, prime, temperature, length, flags.seed);
    return code;
  });
}
