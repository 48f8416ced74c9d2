// A convolutional network learns handwritten digits.
#include "common/example.hpp"

int main(int argc, char** argv) {
  const example::About about{
      .name = "digits_cnn",
      .description = "Trains a convolutional network on handwritten digits (28x28 pixels, 10 classes).",
      .defaults = {.epochs = 10, .data = "data/mnist", .save = "digits_cnn.safetensors"},
  };
  return example::run(argc, argv, about, [](const example::Flags& flags) {
    gpunn::Sequential model(
        {
            gpunn::Input({28, 28, 1}),
            gpunn::Conv2D(32, {3, 3}, {.activation = gpunn::relu}),
            gpunn::MaxPooling2D({2, 2}),
            gpunn::Conv2D(64, {3, 3}, {.activation = gpunn::relu}),
            gpunn::MaxPooling2D({2, 2}),
            gpunn::Flatten(),
            gpunn::Dense(64, {.activation = gpunn::relu}),
            gpunn::Dense(10, {.activation = gpunn::softmax}),
        },
        flags.model());
    model.compile({
        .optimizer = gpunn::Adam({.learning_rate = flags.learning_rate}),
        .loss = gpunn::SparseCategoricalCrossentropy(),
        .metrics = {gpunn::accuracy},
    });
    const auto [train, test] = gpunn::data::mnist(flags.data);
    return example::train(model, train, test, flags);
  });
}
