#include "tests/gpu/fit_models.hpp"

#include "tests/gpu/networks.hpp"

namespace gpunn::tests {
namespace {

// 39 rows to train on, 4 batches and a shorter one; 13 to validate.
constexpr std::int64_t kRows = 52, kSteps = 5, kVocabulary = 40;

// Label 1 where x0 + x1 x2 is large.
DatasetPtr features() {
  Tensor x = uniform({kRows, 10}, 1), y(Shape{kRows, 1});
  const auto values = x.data<float>();
  for (std::size_t r = 0; r < kRows; ++r)
    y.data<float>()[r] = values[10 * r] + values[10 * r + 1] * values[10 * r + 2] > 0.75f ? 1.0f : 0.0f;
  return std::make_shared<TensorDataset>(x, y);
}

// Noise, with every fourth column brighter: which one is the class.
Tensor image_noise(const Shape& shape) {
  Tensor x = uniform(shape, 2);
  const auto values = x.data<float>();
  const auto channels = static_cast<std::size_t>(shape[3]), columns = static_cast<std::size_t>(shape[2]),
             size = values.size() / static_cast<std::size_t>(shape[0]);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.6f * values[i] + ((i / channels) % columns % 4 == (i / size) % 4 ? 0.4f : 0.0f);
  return x;
}

Tensor classes() {
  Tensor y(Shape{kRows}, Dtype::i32);
  for (std::size_t r = 0; r < kRows; ++r) y.data<std::int32_t>()[r] = static_cast<std::int32_t>(r % 4);
  return y;
}

DatasetPtr images() {
  return std::make_shared<TensorDataset>(image_noise({kRows, 10, 10, 3}), classes());
}

// Bytes; a row of them is no whole number of words.
DatasetPtr images_of_bytes() {
  const Tensor noise = image_noise({kRows, 9, 9, 1});
  Tensor x(noise.shape(), Dtype::u8);
  for (std::size_t i = 0; i < noise.data<float>().size(); ++i)
    x.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(255 * noise.data<float>()[i]);
  return std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {x}, .targets = {classes()}, .input_scale = 1.0f / 255});
}

// Ids with padding behind, 0; label 1 where the first is of the upper half.
Tensor ids(std::int64_t rows, std::int64_t steps) {
  Tensor x({rows, steps}, Dtype::i32);
  const auto values = x.data<std::int32_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / steps, step = static_cast<std::int64_t>(i) % steps;
    const float u = uniform01({.seed = 7, .stream = 3}, i);
    const bool real = step < 1 + row * 5 % steps;
    values[i] = real ? 1 + static_cast<std::int32_t>(u * (kVocabulary - 1)) : 0;
  }
  return x;
}

Tensor first_is_high(const Tensor& x) {
  const std::int64_t rows = x.shape()[0], steps = x.shape()[1];
  Tensor y(Shape{rows, 1});
  for (std::int64_t r = 0; r < rows; ++r) {
    const bool high = x.data<std::int32_t>()[static_cast<std::size_t>(r * steps)] >= kVocabulary / 2;
    y.data<float>()[static_cast<std::size_t>(r)] = high ? 1.0f : 0.0f;
  }
  return y;
}

DatasetPtr sequences(std::int64_t rows, std::int64_t steps) {
  const Tensor x = ids(rows, steps);
  return std::make_shared<TensorDataset>(x, first_is_high(x));
}

DatasetPtr short_sequences() {
  return sequences(kRows, kSteps);
}

// A full batch has just enough ids to be sorted, the last of an epoch has not.
constexpr std::int64_t kManySteps = 8192 / kFitBatch;
DatasetPtr long_sequences() {
  return sequences(24, kManySteps);
}

// Two inputs, and a weight for each sample.
DatasetPtr pairs() {
  const Tensor tokens = ids(kRows, kSteps);
  return std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = {uniform({kRows, 6}, 4), tokens},
                                                                .targets = {first_is_high(tokens)},
                                                                .weights = uniform({kRows}, 5)});
}

std::function<Model(const ModelOptions&)> chain(std::vector<Layer> layers) {
  return [layers = std::move(layers)](const ModelOptions& options) { return Sequential(layers, options); };
}

std::function<Model(const ModelOptions&)> of_tokens(std::int64_t steps, std::vector<Layer> layers) {
  layers.insert(layers.begin(), Input({steps}, {.dtype = Dtype::i32}));
  layers.push_back(Dense(1, {.activation = sigmoid}));
  return chain(std::move(layers));
}

std::function<Model(const ModelOptions&)> small_dense() {
  return chain({Input({10}), Dense(16, {.activation = relu}), Dense(1, {.activation = sigmoid})});
}

Model two_inputs(const ModelOptions& options) {
  const Symbolic numbers = Input({6}), tokens = Input({kSteps}, {.dtype = Dtype::i32});
  const Symbolic a = Dense(8, {.activation = gpunn::tanh})(numbers);
  const Symbolic b = Flatten()(Embedding(kVocabulary, 4)(tokens));
  const Symbolic sum = Add()({a, Dense(8)(b)});
  const Symbolic y = Dense(1, {.activation = sigmoid})(Concatenate()({sum, a, b}));
  return Model({numbers, tokens}, {y}, options);
}

std::vector<FitModel> dense_models() {
  const Loss loss = BinaryCrossentropy();
  const auto normalized = chain({Input({10}), Dense(16, {.use_bias = false}), BatchNormalization(),
                                 Activation(relu), Dense(1, {.activation = sigmoid})});
  const auto dropped = chain({Input({10}), Dense(32, {.activation = relu}), Dropout(0.25),
                              Dense(16, {.activation = gelu}), Dense(1, {.activation = sigmoid})});
  return {
      {"BatchNormalization", normalized, features, loss},
      {"Dropout", dropped, features, loss},
      {"Momentum", small_dense(), features, loss, SGD({.learning_rate = 0.1, .momentum = 0.9})},
      {"Nesterov", small_dense(), features, loss,
       SGD({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01})},
      {"AdamW", small_dense(), features, loss, AdamW({.learning_rate = 0.01, .weight_decay = 0.1})},
      {"GlobalClipnorm", small_dense(), features, loss, SGD({.learning_rate = 0.5, .global_clipnorm = 0.1}),
       "global_norm"},
      {"SkipNonfinite", small_dense(), features, loss, Adam({.learning_rate = 0.01, .skip_nonfinite = true}),
       "global_norm"},
  };
}

std::vector<FitModel> image_models() {
  const Loss loss = SparseCategoricalCrossentropy();
  const Layer images_in = Input({10, 10, 3});
  const auto maxima =
      chain({images_in, Conv2D(8, {3, 3}, {.padding = same, .activation = relu}), MaxPooling2D(2),
             Conv2D(8, {3, 3}, {.activation = relu}), Flatten(), Dense(4, {.activation = softmax})});
  const auto averages = chain({images_in, Conv2D(8, {3, 3}, {.activation = relu}),
                               AveragePooling2D(3, {.strides = 2, .padding = same}), Flatten(),
                               Dense(4, {.activation = softmax})});
  const auto global = chain({images_in, Conv2D(8, {3, 3}, {.use_bias = false}), BatchNormalization(),
                             Activation(relu), Conv2D(16, {3, 3}, {.strides = 2, .activation = relu}),
                             GlobalAveragePooling2D(), Dense(4, {.activation = softmax})});
  const auto bytes = chain({Input({9, 9, 1}), Conv2D(8, {3, 3}, {.activation = relu}), MaxPooling2D(2),
                            Flatten(), Dropout(0.25), Dense(4, {.activation = softmax})});
  return {
      {"MaxPooling2D", maxima, images, loss},
      {"AveragePooling2D", averages, images, loss},
      {"GlobalAveragePooling2D", global, images, loss},
      {"ImagesOfBytes", bytes, images_of_bytes, loss},
  };
}

std::vector<FitModel> sequence_models() {
  const Loss loss = BinaryCrossentropy();
  const auto lstm = of_tokens(kSteps, {Embedding(kVocabulary, 8), LSTM(12, {.dropout = 0.2})});
  const auto masked =
      of_tokens(kSteps, {Embedding(kVocabulary, 8, {.mask_zero = true}), Bidirectional(GRU(12))});
  const auto steps = of_tokens(kSteps, {Embedding(kVocabulary, 8, {.mask_zero = true}),
                                        SimpleRNN(12, {.activation = relu, .recurrent_dropout = 0.2})});
  const auto convolved =
      of_tokens(kSteps, {Embedding(kVocabulary, 8), Conv1D(8, 3, {.padding = causal, .activation = relu}),
                         MaxPooling1D(2), Flatten()});
  const auto flat = of_tokens(kSteps, {Embedding(kVocabulary, 8), Flatten()});
  const auto sorted = of_tokens(kManySteps, {Embedding(kVocabulary, 2), GlobalAveragePooling1D()});
  return {
      {"EmbeddingLstm", lstm, short_sequences, loss},
      {"MaskedBidirectionalGru", masked, short_sequences, loss},
      {"RecurrentStepByStep", steps, short_sequences, loss},
      {"Conv1D", convolved, short_sequences, loss},
      {"SortedEmbeddingGradient", sorted, long_sequences, loss, Adam({.learning_rate = 0.05}), "cub sort"},
      {"LazyAdam", flat, short_sequences, loss, Adam({.learning_rate = 0.01, .lazy_embeddings = true}),
       "lazy_adam"},
      {"TwoInputs", two_inputs, pairs, loss},
  };
}

}  // namespace

std::vector<FitModel> fit_models() {
  std::vector<FitModel> all;
  for (const auto& some : {dense_models(), image_models(), sequence_models()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace gpunn::tests
