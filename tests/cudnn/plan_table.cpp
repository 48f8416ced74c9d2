#include "tests/cudnn/plan_table.hpp"

#include <algorithm>
#include <map>
#include <sstream>

#include "src/cuda/libraries/cudnn_convolution.hpp"
#include "src/cuda/libraries/known_devices.hpp"

namespace gpunn::cuda {
namespace {

struct Layer {
  const char* name;
  kernels::ConvGeometry geometry;
};
const Layer kLayers[] = {
    {"1x28x28 > 32 3x3", {.batch = 32, .in = 1, .out = 32, .height = {28, 26, 3}, .width = {28, 26, 3}}},
    {"32x13x13 > 64 3x3", kSecondLayer},
};
struct Pass {
  const char* name;
  ConvolutionPass pass;
  bool fused;
};
constexpr Pass kPasses[] = {{"forward", ConvolutionPass::forward, false},
                            {"forward+bias+relu", ConvolutionPass::forward, true},
                            {"data gradient", ConvolutionPass::backward_data, false},
                            {"weight gradient", ConvolutionPass::backward_weights, false}};
struct Type {
  const char* name;
  ConvolutionType type;
};
constexpr Type kTypes[] = {
    {"fp32", ConvolutionType::fp32}, {"tf32", ConvolutionType::tf32}, {"bf16", ConvolutionType::bf16}};

constexpr const char* kMadeWith = "Made by `build/release/tests/cudnn/cudnn_test --write` with ";
constexpr const char* kNone = "none";

PlannedPass plan_pass(const CudnnDevice& device, const Convolution& convolution) {
  PlannedPass planned;
  try {
    const EnginePlan plan = plan_convolution(device, convolution);
    planned.engine = plan.engine;
    planned.workspace = plan.workspace;
    planned.tensor_cores = plan.tensor_cores;
    planned.deterministic = plan.deterministic;
    planned.fallback = std::string(plan.heuristic) == "fallback";
  } catch (const DeviceError& error) {
    planned.refused = error.what();
  }
  return planned;
}

std::string row_name(const PlannedPass& p) {
  return "| " + p.layer + " | " + p.pass + " | " + p.type + " |";
}

// "a | b | c" between bars, without the spaces around.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(std::min(line.size(), std::size_t{1})));
  for (std::string cell; std::getline(in, cell, '|');) {
    const std::size_t begin = cell.find_first_not_of(' '), end = cell.find_last_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end + 1 - begin));
  }
  return cells;
}

using Entries = std::map<std::string, std::string>;

// Both tables by name: cells, and "why NAME" for what is not supported.
Entries entries_of(const std::string& text) {
  Entries entries;
  std::vector<std::string> header;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("|")) {
      header.clear();
      continue;
    }
    const auto cells = cells_of(line);
    if (header.empty()) {
      header = cells;
      continue;
    }
    if (cells.size() != header.size() || cells[0].starts_with("---")) continue;
    const std::string row = cells[0] + ", " + cells[1] + ", " + cells[2] + ", ";
    if (header.back() == "why") {
      entries["why " + row + cells[3]] = cells.back();
    } else {
      for (std::size_t k = 3; k < cells.size(); ++k) entries[row + header[k]] = cells[k];
    }
  }
  return entries;
}

}  // namespace

std::string PlannedPass::name() const {
  return layer + ", " + pass + ", " + type + ", sm_" + std::to_string(architecture);
}

std::string PlannedPass::cell() const {
  if (!refused.empty()) return kNone;
  return std::to_string(engine) + (tensor_cores ? "T " : " ") + std::to_string(workspace) +
         (fallback ? " f" : "");
}

std::vector<PlannedPass> plan_every_pass() {
  std::vector<PlannedPass> all;
  for (const Layer& layer : kLayers) {
    for (const Pass& pass : kPasses) {
      for (const Type& type : kTypes) {
        for (const KnownDevice& known : known_devices()) {
          const CudnnDevice device(std::string_view(cudnn_json(known)));
          PlannedPass planned = plan_pass(device, {.geometry = layer.geometry,
                                                   .pass = pass.pass,
                                                   .type = type.type,
                                                   .bias = pass.fused,
                                                   .relu = pass.fused});
          planned.layer = layer.name, planned.pass = pass.name, planned.type = type.name;
          planned.architecture = known.architecture;
          all.push_back(std::move(planned));
        }
      }
    }
  }
  return all;
}

std::string cudnn_release() {
  const std::size_t version = cudnnGetVersion(), cuda = cudnnGetCudartVersion();
  const auto text = [](std::size_t number) { return std::to_string(number); };
  return "cuDNN " + text(version / 10000) + "." + text(version / 100 % 100) + "." + text(version % 100) +
         " for CUDA " + text(cuda / 1000) + "." + text(cuda / 10 % 100);
}

std::string render_table(const std::vector<PlannedPass>& all, const std::string& release) {
  std::string text =
      "# Engines that cuDNN chooses for the example's convolutions\n\n" + std::string(kMadeWith) + release +
      ",\nwithout a GPU, from descriptions of one of each architecture "
      "(`src/cuda/libraries/known_devices.cpp`). "
      "Batch 32.\n\n"
      "A cell: engine (T: tensor cores), bytes of workspace, f where only the fallback list had one. All are "
      "deterministic;\n"
      "fp32 is strict, so never on tensor cores. Where tf32 has none either, the hardware has no TF32 "
      "(sm_75) "
      "or cuDNN prefers\nanother engine.\n\n"
      "| layer | pass | type |";
  std::string why;
  for (const KnownDevice& known : known_devices()) text += " sm_" + std::to_string(known.architecture) + " |";
  text += "\n|---|---|---|";
  for (std::size_t k = 0; k < known_devices().size(); ++k) text += "---|";
  std::string row;
  for (const PlannedPass& p : all) {
    if (row_name(p) != row) text += "\n" + (row = row_name(p));
    text += " " + p.cell() + " |";
    if (!p.refused.empty())
      why += row_name(p) + " sm_" + std::to_string(p.architecture) + " | " + p.refused + " |\n";
  }
  return text +
         "\n\n## Not supported\n\n| layer | pass | type | architecture | why |\n|---|---|---|---|---|\n" +
         why;
}

std::vector<std::string> differences(const std::string& written, const std::vector<PlannedPass>& all) {
  const Entries before = entries_of(written), now = entries_of(render_table(all, ""));
  std::vector<std::string> found;
  for (const auto& [name, cell] : now) {
    const auto old = before.find(name);
    if (old == before.end()) {
      found.push_back(name + ": not in the table, planned '" + cell + "'");
    } else if (old->second != cell) {
      found.push_back(name + ": written '" + old->second + "', planned '" + cell + "'");
    }
  }
  for (const auto& [name, cell] : before) {
    if (!now.contains(name)) found.push_back(name + ": written '" + cell + "', not planned");
  }
  return found;
}

std::string release_of(const std::string& written) {
  const std::size_t at = written.find(kMadeWith);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + std::string(kMadeWith).size();
  return written.substr(begin, written.find(',', begin) - begin);
}

}  // namespace gpunn::cuda
