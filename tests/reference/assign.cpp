#include "src/ops/assign.hpp"

#include <algorithm>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void assign(const Run<T>& run) {
  std::copy_n(run.inputs[1], run.shape(1).elements(), run.inputs[0]);
}

}  // namespace

void reference_assign(Registry& registry) {
  registry.add("assign", assign<float>, assign<double>);
}

}  // namespace gpunn::reference
