// A recurrent network tells good film reviews from bad ones, sentence by sentence.
#include <algorithm>
#include <cstdio>

#include "common/vocabulary.hpp"

constexpr const char* kName = "review_gru";
constexpr std::int64_t kWords = 10000, kSteps = 100;

static gpunn::Sequential make_model(const gpunn::TextVectorization& vectorize, const example::Flags& flags) {
  gpunn::Sequential model(
      {
          gpunn::Input({kSteps}, {.dtype = gpunn::Dtype::i32}),
          gpunn::Embedding(kWords, 64),
          gpunn::GRU(64, {.dropout = 0.1, .return_sequences = true}),
          gpunn::GRU(64, {.dropout = 0.1}),
          gpunn::Dense(64, {.activation = gpunn::relu}),
          gpunn::Dense(1, {.activation = gpunn::sigmoid}),
      },
      flags.model(example::name_with(kName, vectorize)));
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

// Line by line, and as "predictions" for --json.
static void print_predictions(gpunn::Model& model, const gpunn::TextVectorization& vectorize,
                              const std::vector<std::string>& texts) {
  const gpunn::Tensor positive = model.predict(rows_of(vectorize, texts));
  std::string json;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const float p = positive.data<float>()[i];
    const char* label = p > 0.5f ? "positive" : "negative";
    std::printf("%s %.3f  %s\n", label, static_cast<double>(p), texts[i].c_str());
    json += (i == 0 ? "" : ", ") + ("{\"text\": " + example::json_string(texts[i])) +
            ", \"probability\": " + example::json_number(p) + ", \"label\": " + example::json_string(label) +
            "}";
  }
  example::add_result("predictions", "[" + json + "]");
}

int main(int argc, char** argv) {
  std::vector<std::string> texts;
  std::string saved;
  example::About about{
      .name = kName,
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
    std::optional<example::TextModel> loaded;
    if (!saved.empty()) {
      loaded = example::load_text_model(kName, saved, flags);
      if (!texts.empty()) {
        print_predictions(loaded->model, loaded->vocabulary, texts);
        return 0;
      }
    }
    const auto read = [&](const char* part) {
      return gpunn::data::text_table(flags.data + "/" + part + ".tsv", {.label_column = "label"});
    };
    gpunn::TextVectorization vectorize({.max_tokens = kWords});
    if (loaded) vectorize = loaded->vocabulary;
    const auto train = read("train"), validation = read("validation"), test = read("test");
    const auto dataset = [&](const gpunn::data::TextTable& table) {
      return std::make_shared<gpunn::TensorDataset>(rows_of(vectorize, table.texts), *table.y);
    };
    // What one would get right by always saying what is true more often.
    double good = 0;
    for (const float label : test.y->data<float>()) good += label / static_cast<double>(test.texts.size());
    const example::Results majority{{"majority_accuracy", std::max(good, 1 - good)}};
    if (loaded) return example::evaluate(loaded->model, dataset(test), majority);

    vectorize.adapt(train.texts);
    gpunn::Sequential model = make_model(vectorize, flags);
    const int code = example::train(model, {dataset(train), dataset(validation), dataset(test)}, flags,
                                    majority, &vectorize);
    if (!texts.empty()) print_predictions(model, vectorize, texts);
    return code;
  });
}
