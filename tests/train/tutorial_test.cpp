// The program that the documentation begins with compiles and runs as it is written there.

#include <gtest/gtest.h>

#include <filesystem>

#include "gpunn/gpunn.hpp"
#include "tests/support/files.hpp"

// clang-format off
#define main tutorial_main
#ifdef __clang__
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#define int auto  // only main itself may be an int that returns nothing
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
#undef int
#undef main
// clang-format on

namespace gpunn {
namespace {

// Images in which a bright band says which digit it is.
void write_digits(const std::filesystem::path& folder, const std::string& prefix, std::int64_t count) {
  Tensor images({count, 28, 28}, Dtype::u8), labels({count}, Dtype::u8);
  for (std::int64_t i = 0; i < count; ++i) {
    labels.data<std::uint8_t>()[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 10);
    std::uint8_t* image = images.data<std::uint8_t>().data() + i * 784;
    for (std::int64_t p = 0; p < 784; ++p)
      image[p] = p / 56 == i % 10 ? 255 : static_cast<std::uint8_t>(i * p % 50);
  }
  data::save_idx(images, folder / (prefix + "-images-idx3-ubyte"));
  data::save_idx(labels, folder / (prefix + "-labels-idx1-ubyte"));
}

TEST(Tutorial, TheFirstProgramLearnsAndSaves) {
  const TempDir folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directories(folder / "data/mnist");
  write_digits(folder / "data/mnist", "train", 100);
  write_digits(folder / "data/mnist", "t10k", 20);
  std::filesystem::current_path(folder.path());
  testing::internal::CaptureStderr();
  tutorial_main();
  const std::string shown = testing::internal::GetCapturedStderr();
  Model model = load_model("digits.safetensors");
  std::filesystem::current_path(before);

  EXPECT_NE(shown.find("Epoch 10/10 - 4/4"), std::string::npos) << shown;
  EXPECT_EQ(model.count_params(), 121930);
  const auto [train, test] = data::mnist(folder / "data/mnist");
  EXPECT_GT(model.evaluate(test)["accuracy"], 0.9);
}

}  // namespace
}  // namespace gpunn
