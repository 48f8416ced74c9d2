// The textbook kernels as tests see them: run on the device, compared with plain loops in double.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/patterns.hpp"

namespace simt_suite {

struct Pattern {
  std::string name;
  std::function<double(Fault)>
      error;  // relative to the largest wanted value; infinite for NaN or a CUDA error
  double tolerance;
};

const std::vector<Pattern>& patterns();
const Pattern& pattern(const std::string& name);

}  // namespace simt_suite
