#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/ops/sequence_mask.hpp"

namespace gpunn::nn {
namespace {

class EmbeddingLayer final : public LayerDefinition {
 public:
  EmbeddingLayer(std::int64_t input_dim, std::int64_t output_dim, EmbeddingOptions options,
                 SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        input_dim_(input_dim),
        output_dim_(output_dim),
        options_(std::move(options)) {
    argument(input_dim > 0, "Embedding", cat("input_dim must be positive, not ", input_dim), where);
    argument(output_dim > 0, "Embedding", cat("output_dim must be positive, not ", output_dim), where);
  }

  std::string_view type() const override { return "Embedding"; }
  std::int64_t vocabulary() const override { return input_dim_; }
  MaskUse mask_use() const override { return options_.mask_zero ? MaskUse::make : MaskUse::lose; }

  VariableSpecs variables(const Specs& x) const override {
    expects(!options_.mask_zero || x[0].shape.rank() == 1,
            "mask_zero needs ids [steps]: a mask has one number for a step");
    return {{"embeddings", {input_dim_, output_dim_}, options_.embeddings_initializer}};
  }

  ValueId emit(const Emission& e) const override {
    return e.graph.emit1("embedding", {e.x[0], e.variables[0]});
  }

  ValueId mask(const Emission& e) const override {
    return e.graph.emit1("sequence_mask", {e.x[0]}, ops::SequenceMaskAttrs{0});
  }

  Json config() const override {
    return {{"input_dim", input_dim_},
            {"output_dim", output_dim_},
            {"embeddings_initializer", to_json(options_.embeddings_initializer)},
            {"mask_zero", options_.mask_zero}};
  }

 private:
  std::int64_t input_dim_, output_dim_;
  EmbeddingOptions options_;
};

class MaskingLayer final : public LayerDefinition {
 public:
  MaskingLayer(MaskingOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), value_(options.mask_value) {}

  std::string_view type() const override { return "Masking"; }
  MaskUse mask_use() const override { return MaskUse::make; }
  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() == 2, "needs sequences [steps, features]: a mask has one number for a step");
    return {};
  }
  ValueId emit(const Emission& e) const override { return e.graph.emit1("apply_mask", {e.x[0], mask(e)}); }
  ValueId mask(const Emission& e) const override {
    return e.graph.emit1("sequence_mask", {e.x[0]}, ops::SequenceMaskAttrs{value_});
  }
  Json config() const override { return {{"mask_value", value_}}; }

 private:
  float value_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Embedding(std::int64_t input_dim, std::int64_t output_dim, EmbeddingOptions options,
                SourceLocation where) {
  return Layer(std::make_shared<nn::EmbeddingLayer>(input_dim, output_dim, std::move(options), where));
}

Layer Masking(MaskingOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::MaskingLayer>(std::move(options), where));
}

}  // namespace gpunn
