// Averages of loss and metrics over the steps of an epoch. They stay in the executables, on their device,
// until somebody wants to see them.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "gpunn/callbacks.hpp"
#include "src/ir/backend.hpp"

namespace gpunn::train {

class Averages {
 public:
  // Result k of a step, a (sum, weight) pair, is called names[k]; the loss comes first.
  explicit Averages(std::vector<std::string> names) : names_(std::move(names)), totals_(2 * names_.size()) {}

  void reset() { totals_.assign(totals_.size(), 0.0); }

  // Takes in what the steps of `executable` have left.
  void take(Executable& executable) { executable.add_results(totals_); }

  bool loss_is_finite() const { return std::isfinite(totals_[0]); }

  void write(Logs& logs, const std::string& prefix = "") const {
    for (std::size_t k = 0; k < names_.size(); ++k) {
      const double sum = totals_[2 * k], weight = totals_[2 * k + 1];
      logs.set(prefix + names_[k], weight == 0 ? 0 : sum / weight);
    }
  }

 private:
  std::vector<std::string> names_;
  std::vector<double> totals_;
};

// Forgets what earlier steps have left, those of a fit that was interrupted for example.
inline void forget_results(Executable& executable) {
  std::vector<double> totals(2);
  executable.add_results(totals);
}

}  // namespace gpunn::train
