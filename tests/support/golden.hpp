// Reads the files of tests/golden: what Keras and PyTorch computed. README.md there has the layout.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "gpunn/error.hpp"
#include "gpunn/io.hpp"
#include "tests/support/golden_folder.hpp"

namespace gpunn::golden {

class Family {
 public:
  explicit Family(const std::string& name)
      : file_(io::load_safetensors(testing::golden_folder() / (name + ".safetensors"))) {}

  std::vector<std::string> cases() const {
    std::vector<std::string> names;
    for (const auto& [name, attributes] : file_.metadata)
      if (attributes.starts_with('{')) names.push_back(name);  // the others name versions and checksums
    return names;
  }
  nlohmann::json attributes(const std::string& name) const {
    return nlohmann::json::parse(file_.metadata.at(name));
  }

  const Tensor* find(const std::string& name) const { return file_.find(name); }
  const Tensor& operator[](const std::string& name) const {
    const Tensor* found = find(name);
    if (found == nullptr) throw DataError("the golden file has no tensor " + name);
    return *found;
  }
  // "case/input", or "case/input:0", "case/input:1", ...
  std::vector<Tensor> list(const std::string& name) const {
    if (const Tensor* one = find(name)) return {*one};
    std::vector<Tensor> all;
    while (const Tensor* next = find(name + ":" + std::to_string(all.size()))) all.push_back(*next);
    return all;
  }
  // The weights of a case by Keras's names.
  std::vector<io::NamedTensor> weights(const std::string& name) const {
    const std::string prefix = name + "/weight:";
    std::vector<io::NamedTensor> all;
    for (const auto& [full, tensor] : file_.tensors)
      if (full.starts_with(prefix)) all.push_back({full.substr(prefix.size()), tensor});
    return all;
  }

 private:
  io::SafetensorsFile file_;
};

// |got - want| / |want|; infinite when they differ in size or `got` is not finite.
inline double relative_norm(const Tensor& got, const Tensor& want) {
  if (got.elements() != want.elements()) return INFINITY;
  const Tensor a = got.to(Dtype::f64), b = want.to(Dtype::f64);
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < b.elements(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  if (!std::isfinite(difference)) return INFINITY;
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-30);
}

}  // namespace gpunn::golden
