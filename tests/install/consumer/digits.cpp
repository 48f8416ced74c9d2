// The program of the documentation, letter for letter.
#include <gpunn/gpunn.hpp>

int main() {
  gpunn::Sequential model({
      gpunn::Input({28, 28, 1}),
      gpunn::Conv2D(32, {3, 3}, {.activation = gpunn::relu}),
      gpunn::MaxPooling2D({2, 2}),
      gpunn::Conv2D(64, {3, 3}, {.activation = gpunn::relu}),
      gpunn::MaxPooling2D({2, 2}),
      gpunn::Flatten(),
      gpunn::Dense(64, {.activation = gpunn::relu}),
      gpunn::Dense(10, {.activation = gpunn::softmax}),
  });
  model.compile({.optimizer = gpunn::Adam(), .loss = gpunn::SparseCategoricalCrossentropy(), .metrics = {gpunn::accuracy}});
  const auto [train, test] = gpunn::data::mnist("data/mnist");
  model.fit(train, {.epochs = 10, .batch_size = 32, .validation_data = test});
  model.save("digits.safetensors");
}
