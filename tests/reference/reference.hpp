// The reference backend: every op as plain loops over T = float or double, written apart from the kernels and
// for clarity alone. Gradients are checked on it in double, and the other backends against it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::reference {

// One call of an op. Integers (labels, positions) are held in T as well.
template <class T>
struct Run {
  const OpCall& call;
  std::vector<T*> inputs;   // null: absent
  std::vector<T*> outputs;  // to be overwritten
  cpu::StepState step;

  const Shape& shape(std::size_t k) const { return call.inputs[k].shape; }
  const Shape& out_shape(std::size_t k) const { return call.outputs[k].shape; }
  bool has(std::size_t k) const { return k < inputs.size() && inputs[k] != nullptr; }
  template <class Attributes>
  const Attributes& attrs() const {
    return call.attrs_as<Attributes>();
  }
};

template <class T>
using Compute = void (*)(const Run<T>&);

class Registry {
 public:
  void add(std::string op, Compute<float> in_float, Compute<double> in_double);
  bool has(std::string_view op) const { return ops_.find(op) != ops_.end(); }
  template <class T>
  Compute<T> find(std::string_view op) const;  // throws UsageError
  static Registry& instance();

 private:
  struct Op {
    Compute<float> in_float;
    Compute<double> in_double;
  };
  std::map<std::string, Op, std::less<>> ops_;
};

#define GPUNN_OP(stem) void reference_##stem(Registry& registry);
#include "src/ops/ops.def"
#undef GPUNN_OP

// Elements of all axes but the last.
inline std::int64_t vectors(const Shape& shape) {
  return shape.elements() == 0 ? 0 : shape.elements() / shape[-1];
}

}  // namespace gpunn::reference
