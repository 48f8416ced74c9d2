#include "src/ops/dense.hpp"

#include "src/nn/layer.hpp"

namespace gpunn::nn {
namespace {

class DenseLayer final : public LayerDefinition {
 public:
  DenseLayer(std::int64_t units, DenseOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), units_(units), options_(std::move(options)) {
    argument(units > 0, "Dense", "units must be positive, not " + std::to_string(units), where);
  }

  std::string_view type() const override { return "Dense"; }
  bool works_by_vector() const override { return true; }
  MaskUse mask_use() const override { return MaskUse::pass; }

  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() >= 1, "needs at least one axis of features");
    VariableSpecs specs{{"kernel", {x[0].shape[-1], units_}, options_.kernel_initializer}};
    if (options_.use_bias) specs.push_back({"bias", {units_}, options_.bias_initializer});
    return specs;
  }

  ValueId emit(const Emission& e) const override {
    const ValueId bias = options_.use_bias ? e.variables[1] : kNoValue;
    const ValueId z = e.graph.emit1("dense", {e.x[0], e.variables[0], bias}, ops::DenseAttrs{});
    return emit_activation(e.graph, z, options_.activation);
  }

  Json config() const override {
    return {{"units", units_},
            {"activation", to_string(options_.activation)},
            {"use_bias", options_.use_bias},
            {"kernel_initializer", to_json(options_.kernel_initializer)},
            {"bias_initializer", to_json(options_.bias_initializer)}};
  }

 private:
  std::int64_t units_;
  DenseOptions options_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Dense(std::int64_t units, DenseOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::DenseLayer>(units, std::move(options), where));
}

}  // namespace gpunn
