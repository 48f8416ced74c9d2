#include "src/ops/activation.hpp"
#include "src/nn/layer.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/dropout.hpp"

namespace gpunn::nn {

std::string_view to_string(ActivationFunction function) {
  switch (function) {
    case ActivationFunction::linear:
      return "linear";
    case ActivationFunction::relu:
      return "relu";
    case ActivationFunction::sigmoid:
      return "sigmoid";
    case ActivationFunction::tanh:
      return "tanh";
    case ActivationFunction::softmax:
      return "softmax";
    case ActivationFunction::gelu:
      break;
  }
  return "gelu";
}

ValueId emit_activation(Graph& graph, ValueId x, ActivationFunction function) {
  using Op = ops::Activation;
  const auto emit = [&](Op kind) { return graph.emit1("activation", {x}, ops::ActivationAttrs{kind}); };
  switch (function) {
    case ActivationFunction::linear:
      return x;
    case ActivationFunction::relu:
      return emit(Op::relu);
    case ActivationFunction::sigmoid:
      return emit(Op::sigmoid);
    case ActivationFunction::tanh:
      return emit(Op::tanh);
    case ActivationFunction::gelu:
      return emit(Op::gelu);
    case ActivationFunction::softmax:
      break;
  }
  return graph.emit1("softmax", {x});
}

namespace {

class ActivationLayer final : public LayerDefinition {
 public:
  ActivationLayer(ActivationFunction function, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), function_(function) {}
  std::string_view type() const override { return "Activation"; }
  bool works_by_vector() const override { return true; }
  MaskUse mask_use() const override { return MaskUse::pass; }
  ValueId emit(const Emission& e) const override { return emit_activation(e.graph, e.x[0], function_); }
  Json config() const override { return {{"activation", to_string(function_)}}; }

 private:
  ActivationFunction function_;
};

class RescalingLayer final : public LayerDefinition {
 public:
  RescalingLayer(double scale, double offset, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), scale_(scale), offset_(offset) {}
  std::string_view type() const override { return "Rescaling"; }
  bool works_by_vector() const override { return true; }
  MaskUse mask_use() const override { return MaskUse::pass; }
  ValueId emit(const Emission& e) const override {
    return e.graph.emit1(
        "affine", e.x,
        ops::AffineAttrs{.scale = static_cast<float>(scale_), .offset = static_cast<float>(offset_)});
  }
  Json config() const override { return {{"scale", scale_}, {"offset", offset_}}; }

 private:
  double scale_, offset_;
};

class DropoutLayer final : public LayerDefinition {
 public:
  DropoutLayer(double rate, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), rate_(rate) {
    argument(rate >= 0 && rate < 1, "Dropout", "rate must be at least 0 and below 1", where);
  }
  std::string_view type() const override { return "Dropout"; }
  bool works_by_vector() const override { return true; }
  MaskUse mask_use() const override { return MaskUse::pass; }
  ValueId emit(const Emission& e) const override {
    if (e.mode != Mode::train || rate_ == 0) return e.x[0];
    return e.graph.emit1("dropout", e.x,
                         ops::DropoutAttrs{.rate = static_cast<float>(rate_), .stream = e.stream});
  }
  Json config() const override { return {{"rate", rate_}}; }

 private:
  double rate_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Activation(ActivationFunction function, LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::ActivationLayer>(function, std::move(options), where));
}

Layer Rescaling(double scale, double offset, LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::RescalingLayer>(scale, offset, std::move(options), where));
}

Layer Dropout(double rate, LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::DropoutLayer>(rate, std::move(options), where));
}

}  // namespace gpunn
