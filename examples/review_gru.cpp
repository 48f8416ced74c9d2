// A recurrent network tells good film reviews from bad ones, sentence by sentence.
#include <algorithm>
#include <cstdio>

#include "common/example.hpp"

constexpr std::int64_t kWords = 10000, kSteps = 100;

static gpunn::Sequential make_model(const example::Flags& flags) {
  gpunn::Sequential model(
      {
          gpunn::Input({kSteps}, {.dtype = gpunn::Dtype::i32}),
          gpunn::Embedding(kWords, 64),
          gpunn::GRU(64, {.dropout = 0.1, .return_sequences = true}),
          gpunn::GRU(64, {.dropout = 0.1}),
          gpunn::Dense(64, {.activation = gpunn::relu}),
          gpunn::Dense(1, {.activation = gpunn::sigmoid}),
      },
      flags.model());
  model.compile({
      .optimizer = gpunn::Adam({.learning_rate = flags.learning_rate}),
      .loss = gpunn::BinaryCrossentropy(),
      .metrics = {gpunn::accuracy},
  });
  return model;
}

// Rows of kSteps words, padded in front: the network has read the sentence when it comes to the end of its
// row.
static gpunn::Tensor rows_of(const gpunn::TextVectorization& vectorize,
                             const std::vector<std::string>& texts) {
  std::vector<std::vector<std::int32_t>> sentences;
  for (const std::string& text : texts) sentences.push_back(vectorize.encode(text));
  return gpunn::pad_sequences(sentences, {.maxlen = kSteps});
}

static void print_predictions(gpunn::Model& model, const gpunn::TextVectorization& vectorize,
                              const std::vector<std::string>& texts) {
  const gpunn::Tensor positive = model.predict(rows_of(vectorize, texts));
  if (positive.elements() != std::ssize(texts)) throw gpunn::DataError("that is no model of reviews");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const float p = positive.data<float>()[i];
    std::printf("%s %.3f  %s\n", p > 0.5f ? "positive" : "negative", static_cast<double>(p),
                texts[i].c_str());
  }
}

int main(int argc, char** argv) {
  std::vector<std::string> texts;
  std::string saved;
  example::About about{
      .name = "review_gru",
      .description =
          "Trains two GRU layers on sentences from film reviews: is the review for the film or against it?",
      .defaults = {.epochs = 3, .data = "data/reviews", .save = "review_gru.safetensors"},
  };
  about.options = {
      {"--predict", "a sentence to classify at the end; can be given several times", &texts},
      {"--load",
       "take the model from this file, as --save left it, instead of training; its flags are not looked at",
       &saved}};
  return example::run(argc, argv, about, [&](const example::Flags& flags) {
    std::optional<gpunn::Model> loaded;
    gpunn::TextVectorization vectorize({.max_tokens = kWords});
    if (!saved.empty()) {
      loaded = gpunn::load_model(saved, flags.model());
      vectorize = gpunn::TextVectorization::load(example::vocabulary_of(saved));
      if (!texts.empty()) print_predictions(*loaded, vectorize, texts);
      if (!texts.empty()) return 0;
    }
    const auto read = [&](const char* part) {
      return gpunn::data::text_table(flags.data + "/" + part + ".tsv", {.label_column = "label"});
    };
    const auto train = read("train"), validation = read("validation"), test = read("test");
    const auto dataset = [&](const gpunn::data::TextTable& table) {
      return std::make_shared<gpunn::TensorDataset>(rows_of(vectorize, table.texts), *table.y);
    };
    // What one would get right by always saying what is true more often.
    double good = 0;
    for (const float label : test.y->data<float>()) good += label / static_cast<double>(test.texts.size());
    const example::Results majority{{"majority_accuracy", std::max(good, 1 - good)}};
    if (loaded) return example::evaluate(*loaded, dataset(test), flags, majority);

    vectorize.adapt(train.texts);
    gpunn::Sequential model = make_model(flags);
    example::expect_folder_of(flags.save);
    if (!flags.save.empty()) vectorize.save(example::vocabulary_of(flags.save));
    const int code =
        example::train(model, {dataset(train), dataset(validation), dataset(test)}, flags, majority);
    if (!texts.empty()) print_predictions(model, vectorize, texts);
    return code;
  });
}
