// Ops from outside the library as layers.

#include <algorithm>

#include "src/core/text.hpp"
#include "src/nn/layer.hpp"

namespace gpunn::nn {
namespace {

class CustomLayer final : public LayerDefinition {
 public:
  CustomLayer(const OpDef& op, CustomOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        op_(op),
        attrs_(std::move(options.attrs)),
        variables_(std::move(options.variables)) {
    const auto expect = [&](bool ok, const char* what) {
      argument(ok, "Custom", cat("op '", op.name, "' ", what), where);
    };
    expect(!op.outputs.empty(), "has no output");
    expect(std::count(op.outputs.begin(), op.outputs.end(), Rows::sum) == 0,
           "has an output that is a sum over the batch, which no layer can return");
    expect(op.mutates == 0, "changes its inputs in place");
    const bool trainable = std::any_of(variables_.begin(), variables_.end(),
                                       [](const CustomVariable& variable) { return variable.trainable; });
    expect(op.gradient != nullptr || !trainable,
           "has no gradient, so that its variables cannot be trained: say .trainable = false");
  }

  std::string_view type() const override { return "Custom"; }
  bool takes(std::size_t inputs) const override { return inputs >= 1; }
  bool mixes_samples() const override {
    return std::count(op_.outputs.begin(), op_.outputs.end(), Rows::all) > 0;
  }

  VariableSpecs variables(const Specs&) const override {
    VariableSpecs specs;
    for (const CustomVariable& variable : variables_)
      specs.push_back({variable.name, variable.shape, variable.initializer, variable.trainable});
    return specs;
  }

  ValueId emit(const Emission& e) const override { return emit_all(e)[0]; }

  ValueIds emit_all(const Emission& e) const override {
    ValueIds inputs = e.x;
    inputs.insert(inputs.end(), e.variables.begin(), e.variables.end());
    const ValueIds outputs = e.graph.emit(op_, std::move(inputs), attrs_);
    for (const ValueId output : outputs) {
      const Shape& shape = e.graph.spec(output).shape;
      expects(shape.rank() >= 1 && shape[0] == e.graph.batch(),
              cat("op '", op_.name, "' infers an output ", shape, ", whose first axis is not the batch of ",
                  e.graph.batch()));
    }
    return outputs;
  }

  Json config() const override {
    throw UsageError(cat("a Custom layer (op '", op_.name,
                         "') cannot be saved: its attributes are values of the program. Use save_weights()"),
                     where());
  }

 private:
  const OpDef& op_;
  Attrs attrs_;
  std::vector<CustomVariable> variables_;
};

const OpDef& op_named(const std::string& name, SourceLocation where) {
  try {
    return find_op(name);
  } catch (const UsageError& error) {
    throw UsageError(cat("Custom: ", error.what()), where);
  }
}

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Custom(const std::string& op, CustomOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::CustomLayer>(nn::op_named(op, where), std::move(options), where));
}

}  // namespace gpunn
