#include <algorithm>
#include <limits>

#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/concatenate.hpp"
#include "src/ops/sequence_mask.hpp"

namespace gpunn::nn {
namespace {

bool all_of(const std::vector<bool>& masked) {
  return std::find(masked.begin(), masked.end(), false) == masked.end();
}

ValueId merged(Graph& graph, const ValueIds& masks, bool join) {
  ValueId all = masks[0];
  for (std::size_t i = 1; i < masks.size(); ++i) {
    all = graph.emit1("merge_masks", {all, masks[i]}, ops::MergeMasksAttrs{join});
  }
  return all;
}

class BinaryLayer final : public LayerDefinition {
 public:
  BinaryLayer(ops::Binary kind, LayerOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), kind_(kind) {}
  std::string_view type() const override { return kind_ == ops::Binary::add ? "Add" : "Multiply"; }
  bool takes(std::size_t inputs) const override { return inputs >= 2; }
  // A step is real where any input's is, as in Keras; its Multiply also changes what it multiplies.
  MaskUse mask_use() const override { return kind_ == ops::Binary::add ? MaskUse::merge : MaskUse::lose; }
  bool merges_masks(const Specs& x, const std::vector<bool>& masked) const override {
    return all_of(masked) && std::all_of(x.begin(), x.end(), [&](const Spec& each) {
             return each.shape.rank() == x[0].shape.rank() && each.shape[0] == x[0].shape[0];
           });
  }
  ValueId mask(const Emission& e) const override { return merged(e.graph, e.masks, false); }

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

  // As in Keras: along the steps their masks one after the other, all real where there is none; along the
  // features a step is real where any input's is, and so every step where one of them has no mask.
  MaskUse mask_use() const override { return MaskUse::merge; }
  bool merges_masks(const Specs& x, const std::vector<bool>& masked) const override {
    if (x[0].shape.rank() != 2) return false;
    return along_steps() ? std::find(masked.begin(), masked.end(), true) != masked.end() : all_of(masked);
  }
  ValueId mask(const Emission& e) const override {
    ValueIds masks = e.masks;
    for (std::size_t i = 0; i < masks.size(); ++i) {
      if (masks[i] == kNoValue) {
        constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();  // all numbers differ from it
        masks[i] = e.graph.emit1("sequence_mask", {e.x[i]}, ops::SequenceMaskAttrs{kNothing});
      }
    }
    return merged(e.graph, masks, along_steps());
  }

 private:
  bool along_steps() const { return axis_ == 1 || axis_ == -2; }  // of [batch, steps, features]

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
