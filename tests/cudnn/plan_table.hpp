// What cuDNN plans for the example's convolutions on one GPU of each architecture, as a table that is kept in
// the repository: plans.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/cuda/libraries/convolution.hpp"

namespace gpunn::cuda {

struct PlannedPass {
  std::string layer, pass, type;
  int architecture = 0;
  // What was chosen, or why nothing.
  std::int64_t engine = -1, workspace = 0;
  bool tensor_cores = false, deterministic = true, fallback = false;
  std::string refused = {};

  std::string name() const;  // "32x13x13 > 64 3x3, forward, fp32, sm_90"
  std::string cell() const;
};

// The second convolution of the example.
inline constexpr kernels::ConvGeometry kSecondLayer{
    .batch = 32, .in = 32, .out = 64, .height = {13, 11, 3}, .width = {13, 11, 3}};

std::vector<PlannedPass> plan_every_pass();

std::string cudnn_release();  // of the library that is loaded: "cuDNN 9.19.0 for CUDA 13.0"
std::string render_table(const std::vector<PlannedPass>& all, const std::string& release);

// What the written table says otherwise, a line for each cell or reason.
std::vector<std::string> differences(const std::string& written, const std::vector<PlannedPass>& all);
// What made it: "cuDNN 9.19.0 for CUDA 13.0"; empty if it does not say.
std::string release_of(const std::string& written);

std::filesystem::path table_file();

}  // namespace gpunn::cuda
