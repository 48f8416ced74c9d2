#include "src/nn/layer.hpp"
#include "src/ops/batch_norm.hpp"

namespace gpunn::nn {
namespace {

class BatchNormalizationLayer final : public LayerDefinition {
 public:
  BatchNormalizationLayer(BatchNormalizationOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), options_(std::move(options)) {
    argument(options_.epsilon > 0, "BatchNormalization", "epsilon must be positive", where);
    argument(options_.momentum >= 0 && options_.momentum <= 1, "BatchNormalization",
             "momentum must be from 0 to 1", where);
  }

  std::string_view type() const override { return "BatchNormalization"; }
  MaskUse mask_use() const override { return MaskUse::pass; }
  bool mixes_samples() const override { return true; }

  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() >= 1, "needs an axis of channels");
    const Shape shape{x[0].shape[-1]};
    VariableSpecs specs;
    if (options_.scale) specs.push_back({"gamma", shape, options_.gamma_initializer});
    if (options_.center) specs.push_back({"beta", shape, options_.beta_initializer});
    specs.push_back({"moving_mean", shape, options_.moving_mean_initializer, false});
    specs.push_back({"moving_variance", shape, options_.moving_variance_initializer, false});
    return specs;
  }

  ValueId emit(const Emission& e) const override {
    std::size_t next = 0;
    const ValueId gamma = options_.scale ? e.variables[next++] : kNoValue;
    const ValueId beta = options_.center ? e.variables[next++] : kNoValue;
    const ValueId moving_mean = e.variables[next], moving_variance = e.variables[next + 1];
    const ops::BatchNormAttrs attrs{.epsilon = static_cast<float>(options_.epsilon)};
    if (e.mode != Mode::train) {
      return e.graph.emit1("batch_norm", {e.x[0], moving_mean, moving_variance, gamma, beta}, attrs);
    }
    ValueIds of_mean{e.x[0]};
    if (e.mask() != kNoValue) of_mean = {e.x[0], e.mask(), e.graph.emit1("mask_count", {e.mask()})};
    const ValueId mean = e.graph.emit1("batch_norm_mean", of_mean);
    ValueIds of_variance = of_mean;
    of_variance.insert(of_variance.begin() + 1, mean);
    const ValueId variance = e.graph.emit1("batch_norm_variance", of_variance);
    const ValueId y = e.graph.emit1("batch_norm", {e.x[0], mean, variance, gamma, beta}, attrs);
    e.update("batch_norm_update", {moving_mean, moving_variance, mean, variance},
             ops::BatchNormUpdateAttrs{.momentum = static_cast<float>(options_.momentum)});
    return y;
  }

  Json config() const override {
    return {{"momentum", options_.momentum},
            {"epsilon", options_.epsilon},
            {"center", options_.center},
            {"scale", options_.scale},
            {"beta_initializer", to_json(options_.beta_initializer)},
            {"gamma_initializer", to_json(options_.gamma_initializer)},
            {"moving_mean_initializer", to_json(options_.moving_mean_initializer)},
            {"moving_variance_initializer", to_json(options_.moving_variance_initializer)}};
  }

 private:
  BatchNormalizationOptions options_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer BatchNormalization(BatchNormalizationOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::BatchNormalizationLayer>(std::move(options), where));
}

}  // namespace gpunn
