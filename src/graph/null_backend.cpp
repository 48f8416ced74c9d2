#include "src/graph/null_backend.hpp"

#include "src/cpu/executor.hpp"

namespace gpunn {

void NullExecutable::set_input(int number, const void*, const std::int64_t*) {
  const std::size_t count = planned_.graph.inputs().size();
  if (number < 0 || static_cast<std::size_t>(number) >= count) {
    throw UsageError("there is no input " + std::to_string(number) + ": the graph has " +
                     std::to_string(count));
  }
  given_.resize(count);
  given_[static_cast<std::size_t>(number)] = true;
}

void NullExecutable::run(Segment segment, const cpu::StepState&) {
  given_.resize(planned_.graph.inputs().size());
  for (std::size_t i = 0; i < given_.size(); ++i) {
    if (!given_[i]) throw UsageError("input " + std::to_string(i) + " was not given before the run");
  }
  for (const PlannedNode& step : planned_.plan.nodes) {
    if (step.segment == segment) record_.push_back(step.layer.empty() ? step.op : step.layer + "/" + step.op);
  }
}

const void* NullExecutable::output(int) const {
  throw DeviceError("the null device computes nothing: there is no output");
}

void NullExecutable::add_results(std::span<double>) {
  throw DeviceError("the null device computes nothing: there are no results");
}

namespace {

class NullBackend final : public Backend {
 public:
  bool runs() const override { return false; }
  bool slices_batch() const override { return cpu_->slices_batch(); }
  bool computes(std::string_view op) const override { return cpu_->computes(op); }
  Choice choose(const OpCall& call, std::int64_t slice_rows, const Policy& policy) const override {
    return cpu_->choose(call, slice_rows, policy);
  }
  std::unique_ptr<Executable> bind(Planned planned, VariableStore&, ThreadPool&) const override {
    return std::make_unique<NullExecutable>(std::move(planned));
  }

 private:
  std::unique_ptr<Backend> cpu_ = cpu::make_backend();
};

}  // namespace

std::unique_ptr<Backend> make_null_backend() {
  return std::make_unique<NullBackend>();
}

}  // namespace gpunn
