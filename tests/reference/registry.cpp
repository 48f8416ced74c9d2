#include "tests/reference/reference.hpp"

namespace gpunn::reference {

void Registry::add(std::string op, Compute<float> in_float, Compute<double> in_double) {
  ops_[std::move(op)] = {in_float, in_double};
}

template <class T>
Compute<T> Registry::find(std::string_view op) const {
  const auto found = ops_.find(op);
  if (found == ops_.end()) throw UsageError("op '" + std::string(op) + "' has no reference");
  if constexpr (std::is_same_v<T, float>) {
    return found->second.in_float;
  } else {
    return found->second.in_double;
  }
}
template Compute<float> Registry::find(std::string_view op) const;
template Compute<double> Registry::find(std::string_view op) const;

Registry& Registry::instance() {
  static Registry registry = [] {
    Registry made;
#define GPUNN_OP(stem) reference_##stem(made);
#include "src/ops/ops.def"
#undef GPUNN_OP
    return made;
  }();
  return registry;
}

}  // namespace gpunn::reference
