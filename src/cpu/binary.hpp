// The arithmetic of binary ops on one pair of elements.
#pragma once

#include "gpunn/error.hpp"
#include "src/ops/binary.hpp"

namespace gpunn::cpu {

// maximum and minimum keep NaN of either operand.
inline float larger(float a, float b) {
  return a > b || a != a ? a : b;
}
inline float smaller(float a, float b) {
  return a < b || a != a ? a : b;
}

// Calls use(f) with f(a, b), the value.
template <class Use>
auto with_value(ops::Binary kind, Use use) {
  switch (kind) {
    case ops::Binary::add:
      return use([](float a, float b) { return a + b; });
    case ops::Binary::subtract:
      return use([](float a, float b) { return a - b; });
    case ops::Binary::multiply:
      return use([](float a, float b) { return a * b; });
    case ops::Binary::divide:
      return use([](float a, float b) { return a / b; });
    case ops::Binary::maximum:
      return use([](float a, float b) { return larger(a, b); });
    case ops::Binary::minimum:
      return use([](float a, float b) { return smaller(a, b); });
  }
  throw UsageError("binary: no such kind");
}

}  // namespace gpunn::cpu
