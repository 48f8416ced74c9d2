// Engines for plans, and convolutions bound to pointers.
#include <algorithm>
#include <map>
#include <mutex>

#include "src/cuda/libraries/cudnn_convolution.hpp"
#include "src/cuda/libraries/known_devices.hpp"

namespace gpunn::cuda {
namespace {

// cuDNN's description of a device like `target`: its choices follow the architecture, and hardly anything
// else.
std::string description_of(const Target& target) {
  const auto known = known_devices();
  const KnownDevice* nearest = &known.front();
  for (const KnownDevice& device : known) {
    if (device.architecture <= target.architecture && device.architecture >= nearest->architecture)
      nearest = &device;
  }
  KnownDevice device = *nearest;
  device.architecture = std::max(target.architecture, device.architecture);
  device.multiprocessors = target.multiprocessors;
  return cudnn_json(device);
}

std::string key_of(const std::string& device, const Convolution& c, bool deterministic) {
  std::string key = device;
  const auto add = [&](std::int64_t value) { key += ',' + std::to_string(value); };
  const kernels::ConvGeometry& g = c.geometry;
  for (const std::int64_t v : {g.batch, g.in, g.out, g.groups}) add(v);
  for (const kernels::ConvAxis& a : {g.height, g.width}) {
    for (const std::int64_t v : {a.in, a.out, a.kernel, a.stride, a.padding, a.dilation}) add(v);
  }
  for (const bool v : {c.bias, c.relu, c.mode == kernels::Accumulate::add, deterministic}) add(v);
  add(static_cast<int>(c.pass)), add(static_cast<int>(c.type));
  return key;
}

ConvolutionEngine describe(const EnginePlan& plan, ConvolutionType type) {
  return {plan.engine, static_cast<std::size_t>(plan.workspace), plan.heuristic,
          plan.tensor_cores && type == ConvolutionType::tf32, plan.deterministic};
}

struct Answer {
  std::optional<ConvolutionEngine> engine;
  std::string why;
};

Answer ask(const std::string& device, const Convolution& convolution, bool deterministic) {
  Answer answer;
  try {
    check_cudnn_version();
    const EnginePlan plan =
        plan_convolution(CudnnDevice(device), convolution, {.deterministic = deterministic});
    answer.engine = describe(plan, convolution.type);
  } catch (const DeviceError& error) {
    answer.why = error.what();
  }
  return answer;
}

}  // namespace

std::optional<ConvolutionEngine> find_engine(const Target& target, const Convolution& convolution,
                                             std::string& why) {
  static std::mutex guard;
  static std::map<std::string, Answer> answers;  // plain numbers and text: nothing of the library's
  const std::string device = description_of(target), key = key_of(device, convolution, target.deterministic);
  const std::scoped_lock lock(guard);
  auto found = answers.find(key);
  if (found == answers.end())
    found = answers.emplace(key, ask(device, convolution, target.deterministic)).first;
  why = found->second.why;
  return found->second.engine;
}

struct ConvolutionPlan::State {
  cudnnHandle_t handle = nullptr;
  EnginePlan plan;
  ConvolutionType type;
  Descriptor pack;
};

std::optional<ConvolutionPlan> ConvolutionPlan::bind(cudnnContext* handle, const Convolution& convolution,
                                                     const ConvolutionPointers& p, bool deterministic,
                                                     void* workspace, std::size_t workspace_bytes,
                                                     std::string& why) {
  std::vector<std::int64_t> ids = {kConvX, kConvW, kConvY};
  std::vector<void*> pointers = {p.x, p.w, p.y};
  if (convolution.bias) ids.push_back(kConvBias), pointers.push_back(p.bias);
  for (const void* pointer : pointers) {
    kernels::require(pointer != nullptr, "convolution: an operand is missing");
    if (reinterpret_cast<std::uintptr_t>(pointer) % 16 != 0) {
      why = "an operand is not aligned to 16 bytes";
      return std::nullopt;
    }
  }
  auto state = std::make_shared<State>();
  state->handle = handle, state->type = convolution.type;
  try {
    state->plan = plan_convolution(
        CudnnDevice(handle), convolution,
        {.deterministic = deterministic, .workspace = static_cast<std::int64_t>(workspace_bytes)});
  } catch (const DeviceError& error) {
    why = error.what();
    return std::nullopt;
  }
  state->pack = variant_pack(ids, pointers, workspace);
  ConvolutionPlan plan;
  plan.state_ = std::move(state);
  return plan;
}

void ConvolutionPlan::run(void* stream) const {
  execute(state_->handle, static_cast<cudaStream_t>(stream), state_->plan, state_->pack);
}

ConvolutionEngine ConvolutionPlan::engine() const {
  return describe(state_->plan, state_->type);
}

}  // namespace gpunn::cuda
