// One node on the CPU backend, without the scheduler: slices made by hand, buffers with guards.
#pragma once

#include <string>
#include <vector>

#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::testing {

// Elements as double, to and from the bytes of a dtype.
std::vector<std::byte> encode(const std::vector<double>& values, Dtype dtype);
std::vector<double> decode(const std::vector<std::byte>& bytes, Dtype dtype);

struct CpuRun {
  std::string implementation;
  bool sliced = false;
  std::vector<std::vector<double>> outputs;
  std::vector<std::vector<double>> inputs;  // as they are after the run
};

// Runs `node` with slices of `slice_rows` rows. `inputs` holds one vector per input, empty for absent ones.
// Outputs whose bit is set in `accumulate` start from `old` and are added to; the others start as NaN.
// Reports writes beside a buffer or into an input that the op does not change as test failures.
CpuRun run_on_cpu(const Graph& graph, const Node& node, const std::vector<std::vector<double>>& inputs,
                  std::int64_t slice_rows, const cpu::StepState& step, unsigned accumulate = 0,
                  const std::vector<std::vector<double>>& old = {});

}  // namespace gpunn::testing
