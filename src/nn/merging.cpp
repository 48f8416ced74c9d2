#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/concatenate.hpp"

namespace gpunn::nn {
namespace {

class BinaryLayer final : public LayerDefinition {
 public:
  BinaryLayer(ops::Binary kind, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), kind_(kind) {}
  std::string_view type() const override { return kind_ == ops::Binary::add ? "Add" : "Multiply"; }
  bool takes(std::size_t inputs) const override { return inputs >= 2; }

  ValueId emit(const Emission& e) const override {
    ValueId y = e.x[0];
    for (std::size_t i = 1; i < e.x.size(); ++i) {
      y = e.graph.emit1("binary", {y, e.x[i]}, ops::BinaryAttrs{kind_});
    }
    return y;
  }

 private:
  ops::Binary kind_;
};

class ConcatenateLayer final : public LayerDefinition {
 public:
  ConcatenateLayer(ConcatenateOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), axis_(options.axis) {
    argument(axis_ != 0, "Concatenate", "axis 0 is the batch", where);
  }
  std::string_view type() const override { return "Concatenate"; }
  bool takes(std::size_t inputs) const override { return inputs >= 2; }
  ValueId emit(const Emission& e) const override {
    return e.graph.emit1("concatenate", e.x, ops::ConcatenateAttrs{axis_});
  }
  Json config() const override { return {{"axis", axis_}}; }

 private:
  int axis_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Add(LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::BinaryLayer>(ops::Binary::add, std::move(options), where));
}

Layer Multiply(LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::BinaryLayer>(ops::Binary::multiply, std::move(options), where));
}

Layer Concatenate(ConcatenateOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::ConcatenateLayer>(std::move(options), where));
}

}  // namespace gpunn
