// A feed-forward network tells benign from malignant cells by the means of ten measurements.
#include <cmath>

#include "common/example.hpp"

// Gives every feature mean 0 and deviation 1 over the training table, and shifts the test table alike.
static void standardize(gpunn::Tensor& train, gpunn::Tensor& test) {
  const std::int64_t rows = train.shape()[0], features = train.shape()[1];
  for (std::int64_t f = 0; f < features; ++f) {
    double sum = 0, squares = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const double x = train.data<float>()[r * features + f];
      sum += x, squares += x * x;
    }
    const double mean = sum / rows, deviation = std::sqrt(squares / rows - mean * mean);
    for (gpunn::Tensor* table : {&train, &test}) {
      for (std::int64_t r = 0; r < table->shape()[0]; ++r) {
        float& x = table->data<float>()[r * features + f];
        x = static_cast<float>((x - mean) / deviation);
      }
    }
  }
}

int main(int argc, char** argv) {
  const example::About about{
      .name = "tabular_ffn",
      .description = "Trains a feed-forward network on cell measurements (ten features, two classes).",
      .defaults = {.epochs = 50, .data = "data/cells", .save = "tabular_ffn.safetensors"},
  };
  return example::run(argc, argv, about, [](const example::Flags& flags) {
    gpunn::Sequential model(
        {
            gpunn::Input({10}),
            gpunn::Dense(64, {.activation = gpunn::relu}),
            gpunn::Dense(64, {.activation = gpunn::relu}),
            gpunn::Dense(1, {.activation = gpunn::sigmoid}),
        },
        flags.model());
    model.compile({
        .optimizer = gpunn::Adam({.learning_rate = flags.learning_rate}),
        .loss = gpunn::BinaryCrossentropy(),
        .metrics = {gpunn::accuracy},
    });
    auto train = gpunn::data::csv_table(flags.data + "/train.csv", {.label_column = "benign"});
    auto test = gpunn::data::csv_table(flags.data + "/test.csv", {.label_column = "benign"});
    standardize(train.x, test.x);
    return example::train(model, std::make_shared<gpunn::TensorDataset>(train.x, *train.y),
                          std::make_shared<gpunn::TensorDataset>(test.x, *test.y), flags);
  });
}
