// One node on a backend, without the scheduler. On the CPU: slices made by hand, buffers with guards.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::testing {

// Elements as double, to and from the bytes of a dtype.
std::vector<std::byte> encode(const std::vector<double>& values, Dtype dtype);
std::vector<double> decode(const std::vector<std::byte>& bytes, Dtype dtype);

struct NodeRun {
  std::string implementation;
  bool sliced = false;
  std::vector<std::vector<double>> outputs;
  std::vector<std::vector<double>> inputs;  // as they are after the run
};

// Runs `node` with slices of `slice_rows` rows. `inputs` holds one vector per input, empty for absent ones.
// Outputs whose bit is set in `accumulate` start from `old` and are added to; the others start as NaN.
// Reports writes beside a buffer or into an input that the op does not change as test failures.
NodeRun run_on_cpu(const Graph& graph, const Node& node, const std::vector<std::vector<double>>& inputs,
                   std::int64_t slice_rows, const cpu::StepState& step, unsigned accumulate = 0,
                   const std::vector<std::vector<double>>& old = {});

// A backend that is not in every build, and registers itself where it is. Nothing: it does not compute the
// op, or as the one before it.
struct OtherBackend {
  std::string name;
  std::function<std::optional<NodeRun>(
      const Graph& graph, const Node& node, const std::vector<std::vector<double>>& inputs,
      const cpu::StepState& step, unsigned accumulate, const std::vector<std::vector<double>>& old)>
      run;
};
std::vector<OtherBackend>& other_backends();

}  // namespace gpunn::testing
