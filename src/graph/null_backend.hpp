// The backend that computes nothing: it takes a plan, and records which of its steps a run would have taken.
// For tests of whatever drives an Executable, and for looking at plans of models that do not fit this
// machine. No model can be made on it.
#pragma once

#include <string>
#include <vector>

#include "src/ir/backend.hpp"

namespace gpunn {

class NullExecutable final : public Executable {
 public:
  explicit NullExecutable(Planned planned) : planned_(std::move(planned)) {}

  using Executable::run;
  void set_input(int number, const void* base, const std::int64_t* row_index) override;
  void run(Segment segment, const cpu::StepState& step) override;
  // There are neither: DeviceError.
  const void* output(int number) const override;
  void add_results(std::span<double> totals) override;
  const Plan& plan() const override { return planned_.plan; }

  // "layer/op" of every step of every run so far.
  const std::vector<std::string>& record() const { return record_; }

 private:
  Planned planned_;
  std::vector<bool> given_;
  std::vector<std::string> record_;
};

// Plans as the cpu does.
std::unique_ptr<Backend> make_null_backend();

}  // namespace gpunn
