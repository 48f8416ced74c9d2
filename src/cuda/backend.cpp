#include "src/cuda/backend.hpp"

#include <cctype>

#include "src/cuda/ranges.hpp"
#include "src/cuda/recurrent_cudnn.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

constexpr int kFirstWithTf32 = 80;

// What plans need: a description of the device.
class PlanningBackend : public Backend {
 public:
  explicit PlanningBackend(Target target) : target_(std::move(target)) {}

  bool slices_batch() const override { return false; }
  bool computes(std::string_view op) const override { return find_implementation(op) != nullptr; }

  Policy in_effect(Policy asked) const override {
    asked.allow_tf32 = asked.allow_tf32 && target_.architecture >= kFirstWithTf32;
    return asked;
  }

  Choice choose(const OpCall& call, std::int64_t, const Policy& policy) const override {
    const Implement implement = find_implementation(call.op);
    if (implement == nullptr)
      throw UsageError("op '" + std::string(call.op) + "' has no implementation on cuda", call.where);
    Implementation chosen = implement(call, target_under(policy));
    Choice choice;
    choice.name = std::move(chosen.name);
    choice.why = std::move(chosen.why);
    choice.scratch = chosen.scratch;
    choice.tasks = 1;
    choice.launches = chosen.launches;
    choice.fallback = std::move(chosen.fallback);
    return choice;
  }

  std::int64_t recurrent_reserve(const OpCall& call, const Policy& policy) const override {
    return cuda::recurrent_reserve(call, target_under(policy));
  }

  bool runs() const override { return false; }
  std::unique_ptr<Executable> bind(Planned, VariableStore&, ThreadPool&) const override {
    throw DeviceError(target_.name + " is known by description only: it can be planned for, not run on");
  }

 protected:
  Target target_under(const Policy& policy) const {
    Target target = target_;
    target.tf32 = policy.allow_tf32, target.deterministic = policy.deterministic;
    return target;
  }

  Target target_;
};

class CudaBackend final : public PlanningBackend {
 public:
  CudaBackend(std::shared_ptr<Device> device, const ExecutorOptions& options)
      : PlanningBackend(device->target()), device_(std::move(device)), options_(options) {
    target_.libraries = options.libraries;
  }

  bool runs() const override { return true; }
  BlockCache* memory() const override { return &device_->memory(); }
  std::unique_ptr<Executable> bind(Planned planned, VariableStore& variables, ThreadPool&) const override {
    const Target target = target_under(planned.plan.policy);
    return cuda::bind(device_, target, std::move(planned), variables, options_);
  }

 private:
  std::shared_ptr<Device> device_;
  ExecutorOptions options_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(int ordinal, const ExecutorOptions& options) {
  register_builtin_ops();
  connect_profiler();
  return std::make_unique<CudaBackend>(open_device(ordinal), options);
}

std::unique_ptr<Backend> describe_backend(const KnownDevice& device) {
  register_builtin_ops();
  Target target;
  target.name = "NVIDIA " + std::string(device.name);
  target.architecture = device.architecture;
  target.multiprocessors = device.multiprocessors;
  target.shared_per_block = static_cast<std::size_t>(device.shared_per_block);
  return std::make_unique<PlanningBackend>(std::move(target));
}

void register_described_devices() {
  for (const KnownDevice& device : known_devices()) {
    std::string name;
    for (const char* c = device.name; *c != '\0'; ++c) {
      if (*c != ' ') name += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    }
    register_backend(std::move(name), describe_backend(device));
  }
}

}  // namespace gpunn::cuda
