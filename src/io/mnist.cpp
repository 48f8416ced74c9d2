#include <algorithm>

#include "gpunn/data.hpp"
#include "src/core/text.hpp"

namespace gpunn::data {
namespace {

namespace fs = std::filesystem;

// "train-images-idx3-ubyte", as downloaded or unpacked; some archives write a dot before "idx".
fs::path find_file(const fs::path& directory, const std::string& stem, const std::string& kind) {
  for (const char* separator : {"-", "."}) {
    for (const char* suffix : {"", ".gz"}) {
      const fs::path path = directory / (stem + separator + kind + suffix);
      std::error_code ignored;
      if (fs::exists(path, ignored)) return path;
    }
  }
  throw FileError(cat("no file ", stem, "-", kind, "[.gz] in ", directory.string()));
}

DatasetPtr read_part(const fs::path& directory, const std::string& part) {
  const fs::path image_file = find_file(directory, part + "-images", "idx3-ubyte");
  const fs::path label_file = find_file(directory, part + "-labels", "idx1-ubyte");
  const Tensor images = idx(image_file), labels = idx(label_file);

  if (images.dtype() != Dtype::u8 || images.shape().rank() != 3) {
    throw DataError(cat(image_file.string(), ": ", images.dtype(), " ", images.shape(),
                        " is not [samples, rows, columns] of bytes"));
  }
  if (labels.dtype() != Dtype::u8 || labels.shape().rank() != 1) {
    throw DataError(
        cat(label_file.string(), ": ", labels.dtype(), " ", labels.shape(), " is not [samples] of bytes"));
  }
  if (images.shape()[0] != labels.shape()[0]) {
    throw DataError(cat(image_file.string(), " has ", images.shape()[0], " samples, ", label_file.string(),
                        " ", labels.shape()[0]));
  }
  constexpr int kClasses = 10;
  const auto values = labels.data<std::uint8_t>();
  const auto bad = std::ranges::find_if(values, [](std::uint8_t label) { return label >= kClasses; });
  if (bad != values.end()) {
    throw DataError(cat(label_file.string(), ": label ", int{*bad}, " of sample ", bad - values.begin(),
                        " is not below ", kClasses));
  }
  const Shape& shape = images.shape();
  return std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {images.reshape({shape[0], shape[1], shape[2], 1})},
                             .targets = {labels.to(Dtype::i32)},
                             .input_scale = 1.0f / 255.0f});
}

}  // namespace

TrainTest mnist(const fs::path& directory) {
  return {.train = read_part(directory, "train"), .test = read_part(directory, "t10k")};
}

TrainTest fashion_mnist(const fs::path& directory) {
  return mnist(directory);
}

}  // namespace gpunn::data
