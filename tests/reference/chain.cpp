#include "src/ops/chain.hpp"

#include <algorithm>
#include <cmath>

#include "tests/reference/activate.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

using ops::Binary;
using ops::ChainStep;

template <class T>
T binary(Binary kind, T a, T b) {
  if (kind == Binary::add) return a + b;
  if (kind == Binary::subtract) return a - b;
  if (kind == Binary::multiply) return a * b;
  if (kind == Binary::divide) return a / b;
  if (std::isnan(a) || std::isnan(b)) return NAN;
  return kind == Binary::maximum ? std::max(a, b) : std::min(a, b);
}

template <class T>
void chain(const Run<T>& run) {
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    T v = run.inputs[0][i];
    for (const ChainStep& step : run.template attrs<ops::ChainAttrs>().steps) {
      const auto k = static_cast<std::size_t>(std::max(step.operand, 0));
      const T other = step.operand < 0 ? T(0) : run.inputs[k][i % run.shape(k).elements()];
      switch (step.kind) {
        case ChainStep::Kind::binary:
          v = binary(step.binary, v, other);
          break;
        case ChainStep::Kind::activation:
          v = activate(step.activation, v);
          break;
        case ChainStep::Kind::slope:
          v = v * activation_slope(step.activation, other);
          break;
        case ChainStep::Kind::affine:
          v = v * static_cast<T>(step.affine.scale) + static_cast<T>(step.affine.offset);
          break;
      }
    }
    run.outputs[0][i] = v;
  }
}

}  // namespace

void reference_chain(Registry& registry) {
  registry.add("chain", chain<float>, chain<double>);
}

}  // namespace gpunn::reference
