#pragma once

#include <string>

#include "src/nn/network.hpp"

namespace gpunn::nn {

// Keras's table of layers, output shapes and parameter counts. `optimizer_elements`: of its slots; -1 leaves
// the line out (not compiled).
std::string summary(const Network& network, const std::string& model_name, std::int64_t optimizer_elements);

}  // namespace gpunn::nn
