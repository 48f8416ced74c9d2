#include <algorithm>

#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/ops/reshape.hpp"

namespace gpunn::nn {
namespace {

class FlattenLayer final : public LayerDefinition {
 public:
  FlattenLayer(LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where) {}
  std::string_view type() const override { return "Flatten"; }
  ValueId emit(const Emission& e) const override {
    const Shape row{e.shape().without_front().elements()};
    return e.graph.emit1("reshape", e.x, ops::ReshapeAttrs{row});
  }
};

class ReshapeLayer final : public LayerDefinition {
 public:
  ReshapeLayer(std::vector<std::int64_t> target, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), target_(std::move(target)) {
    argument(std::count(target_.begin(), target_.end(), -1) <= 1, "Reshape",
             "only one extent of target_shape can be -1", where);
    argument(std::all_of(target_.begin(), target_.end(), [](std::int64_t n) { return n > 0 || n == -1; }),
             "Reshape", "the extents of target_shape must be positive or -1", where);
  }

  std::string_view type() const override { return "Reshape"; }

  ValueId emit(const Emission& e) const override {
    return e.graph.emit1("reshape", e.x, ops::ReshapeAttrs{resolve(e.shape().without_front())});
  }

  Json config() const override { return {{"target_shape", target_}}; }

 private:
  Shape resolve(const Shape& x) const {
    std::vector<std::int64_t> extents = target_;
    const auto unknown = std::find(extents.begin(), extents.end(), -1);
    if (unknown != extents.end()) {
      *unknown = 1;
      *unknown = x.elements() / Shape{std::span<const std::int64_t>(extents)}.elements();  // refuses overflow
    }
    const Shape row{std::span<const std::int64_t>(extents)};
    expects(row.elements() == x.elements(),
            cat(x.elements(), " elements cannot take the shape ", to_json(target_).dump()));
    return row;
  }
  static Json to_json(const std::vector<std::int64_t>& extents) { return extents; }

  std::vector<std::int64_t> target_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Flatten(LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::FlattenLayer>(std::move(options), where));
}

Layer Reshape(std::vector<std::int64_t> target_shape, LayerOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::ReshapeLayer>(std::move(target_shape), std::move(options), where));
}

}  // namespace gpunn
