// A program outside the tree: only the installed headers and the exported symbols. Called with "prepare" it
// writes the data that digits.cpp reads, with "check" it looks at what that program saved.
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <vector>

#include <gpunn/gpunn.hpp>

namespace {

bool expect(bool holds, const char* what) {
  if (!holds) std::fprintf(stderr, "failed: %s\n", what);
  return holds;
}

// An error thrown inside the library is caught by its own type here: the type_info is shared across the
// boundary.
bool shape_error_crosses_the_boundary() {
  try {
    gpunn::Tensor::of(gpunn::Shape{2, 3}, std::vector<float>{1, 2});
  } catch (const gpunn::ShapeError& error) {
    return expect(error.where().line == __LINE__ - 2, "the error names this program's line");
  } catch (...) {
  }
  return expect(false, "a ShapeError");
}

// Images of a bright band, whose height is the digit: anything that learns can tell them apart.
gpunn::Tensor images(std::int64_t count) {
  gpunn::Tensor all({count, 28, 28}, gpunn::Dtype::u8);
  for (std::int64_t n = 0; n < count; ++n)
    for (std::int64_t p = 0; p < 2 * 28; ++p)
      all.data<std::uint8_t>()[static_cast<std::size_t>(n * 784 + n % 10 * 2 * 28 + p)] =
          static_cast<std::uint8_t>(200 + (n + p) % 50);
  return all;
}

gpunn::Tensor labels(std::int64_t count) {
  gpunn::Tensor all({count}, gpunn::Dtype::u8);
  for (std::int64_t n = 0; n < count; ++n)
    all.data<std::uint8_t>()[static_cast<std::size_t>(n)] = static_cast<std::uint8_t>(n % 10);
  return all;
}

int prepare() {
  std::filesystem::create_directories("data/mnist");
  for (const auto& [prefix, count] : {std::pair{"train", 320}, {"t10k", 40}}) {
    const std::filesystem::path stem = std::filesystem::path("data/mnist") / prefix;
    gpunn::data::save_idx(images(count), stem.string() + "-images-idx3-ubyte");
    gpunn::data::save_idx(labels(count), stem.string() + "-labels-idx1-ubyte");
  }
  return 0;
}

int check() {
  gpunn::Model model = gpunn::load_model("digits.safetensors");
  const auto result = model.evaluate(gpunn::data::mnist("data/mnist").test);
  std::printf("test accuracy %.3f\n", result["accuracy"]);
  return expect(result["accuracy"] > 0.9, "the saved model tells the bands apart") ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view task = argc > 1 ? argv[1] : "";
  if (task == "prepare") return prepare();
  if (task == "check") return check();
  return shape_error_crosses_the_boundary() ? 0 : 1;
}
