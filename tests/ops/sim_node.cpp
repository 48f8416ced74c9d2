// Nodes on the software CUDA device, beside the CPU: our glue and kernels, bound as the backend binds them,
// with the libraries and without. Left out of builds that have no CUDA backend, and then nothing takes its
// place.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <set>

#include "cpu_node.hpp"
#include "kernels/check.hpp"
#include "kernels/step_state.hpp"
#include "simt/simt.hpp"
#include "src/cuda/libraries/libraries.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::testing {
namespace {

using gpunn::check;

// Exactly as large as asked for, so that the device reports what is written beside it; NaN at first. Never
// null: that would be an absent operand.
class DeviceBytes {
 public:
  explicit DeviceBytes(std::size_t size) : size_(size) {
    check(cudaMalloc(&data_, std::max<std::size_t>(size, 1)));
  }
  explicit DeviceBytes(const void* from, std::size_t size) : DeviceBytes(size) {
    if (size > 0) check(cudaMemcpy(data_, from, size, cudaMemcpyHostToDevice));
  }
  explicit DeviceBytes(const std::vector<std::byte>& content) : DeviceBytes(content.data(), content.size()) {}
  DeviceBytes(DeviceBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  ~DeviceBytes() { static_cast<void>(cudaFree(data_)); }

  void* data() const { return data_; }
  std::vector<std::byte> content() const {
    std::vector<std::byte> bytes(size_);
    if (size_ > 0) check(cudaMemcpy(bytes.data(), data_, size_, cudaMemcpyDeviceToHost));
    return bytes;
  }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

std::set<std::string, std::less<>>& launched() {
  static std::set<std::string, std::less<>> ops;
  return ops;
}

cuda::Target target_of_sim(bool libraries) {
  cuda::Target target = cuda::Device(0).target();
  target.libraries = libraries;
  return target;
}

class SimRun {
 public:
  SimRun(const Graph& graph, const Node& node, const cpu::StepState& step, unsigned accumulate)
      : node_(node), storage_(graph.call(node)), state_(on_device(step)) {
    storage_.call.accumulates = accumulate;
  }

  cuda::Implementation implementation(const cuda::Target& target) const {
    return cuda::find_implementation(node_.op->name)(storage_.call, target);
  }

  NodeRun run(const cuda::Target& target, const std::vector<std::vector<double>>& inputs,
              const std::vector<std::vector<double>>& old) {
    const std::size_t reports = simt::report_count();
    std::vector<DeviceBytes> in, out;
    for (std::size_t k = 0; k < inputs.size(); ++k)
      in.emplace_back(encode(inputs[k], storage_.inputs[k].dtype));
    for (std::size_t k = 0; k < node_.outputs.size(); ++k) {
      const Spec& spec = storage_.outputs[k];
      const bool adds = storage_.call.accumulates >> k & 1u;
      out.push_back(adds ? DeviceBytes(encode(old[k], spec.dtype)) : DeviceBytes(spec.size_bytes()));
    }
    NodeRun result;
    result.implementation = call(target, in, out);
    for (std::size_t k = 0; k < out.size(); ++k)
      result.outputs.push_back(decode(out[k].content(), storage_.outputs[k].dtype));
    for (std::size_t k = 0; k < in.size(); ++k) {
      result.inputs.push_back(decode(in[k].content(), storage_.inputs[k].dtype));
      if ((node_.op->mutates >> k & 1u) == 0) {
        EXPECT_EQ(in[k].content(), encode(inputs[k], storage_.inputs[k].dtype))
            << node_.op->name << " changed input " << k;
      }
    }
    EXPECT_EQ(simt::report_count(), reports) << simt::last_report();
    return result;
  }

 private:
  static DeviceBytes on_device(const cpu::StepState& step) {
    kernels::StepState state;
    state.seed = step.seed, state.step = step.step;
    state.learning_rate = step.learning_rate, state.gradient_scale = step.gradient_scale;
    return DeviceBytes(&state, sizeof state);
  }

  std::string call(const cuda::Target& target, const std::vector<DeviceBytes>& in,
                   const std::vector<DeviceBytes>& out) {
    const cuda::Implementation made = implementation(target);
    const DeviceBytes scratch(made.scratch), constants(made.constants.data(), made.constants.size());
    std::vector<void*> inputs, outputs;
    for (std::size_t k = 0; k < in.size(); ++k)
      inputs.push_back(node_.inputs[k] == kNoValue ? nullptr : in[k].data());
    for (const DeviceBytes& bytes : out) outputs.push_back(bytes.data());
    const cuda::Stream stream = cuda::make_stream();
    cuda::Libraries libraries;
    cuda::Launch launch;
    launch.stream = stream.get(), launch.target = &target, launch.libraries = &libraries;
    launch.inputs = inputs.data(), launch.outputs = outputs.data();
    launch.input_count = static_cast<int>(inputs.size());
    launch.scratch = scratch.data(), launch.constants = constants.data(), launch.step = state_.data();
    launch.accumulate = storage_.call.accumulates;
    std::string name = made.name;
    if (made.prepare) {
      const auto bound = made.prepare(launch);
      if (!bound.name.empty()) name = bound.name;
    }
    made.run(launch);
    check(cudaStreamSynchronize(stream.get()));
    launched().insert(node_.op->name);
    return name;
  }

  const Node& node_;
  Graph::CallStorage storage_;
  DeviceBytes state_;
};

std::optional<NodeRun> run_on_sim(bool libraries, const Graph& graph, const Node& node,
                                  const std::vector<std::vector<double>>& inputs, const cpu::StepState& step,
                                  unsigned accumulate, const std::vector<std::vector<double>>& old) {
  cuda::register_builtin_ops();
  if (cuda::find_implementation(node.op->name) == nullptr) return std::nullopt;
  static const cuda::Target with = target_of_sim(true), without = target_of_sim(false);
  SimRun run(graph, node, step, accumulate);
  if (!libraries && run.implementation(with).name == run.implementation(without).name) return std::nullopt;
  return run.run(libraries ? with : without, inputs, old);
}

const bool registered = [] {
  for (const bool libraries : {true, false}) {
    other_backends().push_back({libraries ? "sim" : "sim-own", [=](const auto&... arguments) {
                                  return run_on_sim(libraries, arguments...);
                                }});
  }
  return true;
}();

// After all tests, where all were asked for: every op that CUDA implements ran there. What passes make in
// place of several ops is launched by tests/cuda.
class EveryOpWasLaunched : public ::testing::Environment {
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*" || GTEST_FLAG_GET(shuffle)) return;
    const auto& registry = ops::Registry::instance();
    for (const std::string_view name : registry.names()) {
      if (registry.is_fused(name) || find_op(name).view || cuda::find_implementation(name) == nullptr)
        continue;
      EXPECT_TRUE(launched().contains(name)) << name << " was never launched on the software device";
    }
  }
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new EveryOpWasLaunched);

}  // namespace
}  // namespace gpunn::testing
