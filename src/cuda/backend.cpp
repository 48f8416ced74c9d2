#include "src/cuda/backend.hpp"

#include "src/cuda/ranges.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::shared_ptr<Device> device, const ExecutorOptions& options)
      : device_(std::move(device)), options_(options), target_(device_->target()) {
    target_.libraries = options.libraries;
  }

  bool slices_batch() const override { return false; }
  bool computes(std::string_view op) const override { return find_implementation(op) != nullptr; }

  Choice choose(const OpCall& call, std::int64_t) const override {
    const Implement implement = find_implementation(call.op);
    if (implement == nullptr)
      throw UsageError("op '" + std::string(call.op) + "' has no implementation on cuda", call.where);
    Implementation chosen = implement(call, target_);
    Choice choice;
    choice.name = std::move(chosen.name);
    choice.why = std::move(chosen.why);
    choice.scratch = chosen.scratch;
    choice.tasks = 1;
    choice.launches = chosen.launches;
    return choice;
  }

  std::unique_ptr<Executable> bind(Planned planned, VariableStore& variables, ThreadPool&) const override {
    return cuda::bind(device_, target_, std::move(planned), variables, options_);
  }

 private:
  std::shared_ptr<Device> device_;
  ExecutorOptions options_;
  Target target_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(int ordinal, const ExecutorOptions& options) {
  register_builtin_ops();
  connect_profiler();
  return std::make_unique<CudaBackend>(std::make_shared<Device>(ordinal), options);
}

}  // namespace gpunn::cuda
