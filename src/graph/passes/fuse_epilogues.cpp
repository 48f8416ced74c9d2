#include "src/graph/passes/rewrite.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/dense.hpp"

namespace gpunn::passes {
namespace {

// Folds `+ bias` into the node whose product it follows.
template <class ProductAttrs>
void fuse_bias(Rewriter& rewriter, Node& product) {
  if (std::any_cast<const ProductAttrs&>(product.attrs).activation != ops::Activation::linear) return;
  if (product.inputs.size() > 2 && product.inputs[2] != kNoValue) return;
  Node* reader = rewriter.only_reader(product.outputs[0]);
  if (reader == nullptr || reader->op->name != "binary") return;
  if (std::any_cast<const ops::BinaryAttrs&>(reader->attrs).kind != ops::Binary::add) return;

  const bool first = reader->inputs[0] == product.outputs[0];
  const ValueId bias = reader->inputs[first ? 1 : 0];
  const Value& value = rewriter.graph().value(bias);
  const std::int64_t channels = rewriter.graph().spec(product.outputs[0]).shape[-1];
  if (value.producer >= 0 || value.batched || value.spec != Spec{Shape{channels}}) return;
  product.inputs = {product.inputs[0], product.inputs[1], bias};
  rewriter.replace(reader->outputs[0], product.outputs[0]);
  rewriter.retire(*reader);
}

template <class ProductAttrs>
void fuse_activation(Rewriter& rewriter, Node& product) {
  auto attrs = std::any_cast<ProductAttrs>(product.attrs);
  if (attrs.activation != ops::Activation::linear) return;
  Node* reader = rewriter.only_reader(product.outputs[0]);
  if (reader == nullptr || reader->op->name != "activation") return;
  const auto kind = std::any_cast<const ops::ActivationAttrs&>(reader->attrs).kind;
  // The slope of gelu needs its input, which an epilogue does not keep.
  if (kind == ops::Activation::gelu) return;
  attrs.activation = kind;
  product.attrs = attrs;
  rewriter.replace(reader->outputs[0], product.outputs[0]);
  rewriter.retire(*reader);
}

}  // namespace

void fuse_epilogues(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& node = rewriter.node(i);
    if (node.op->name == "dense") {
      fuse_bias<ops::DenseAttrs>(rewriter, node);
      fuse_activation<ops::DenseAttrs>(rewriter, node);
    } else if (node.op->name == "conv2d") {
      fuse_bias<ops::Conv2dAttrs>(rewriter, node);
      fuse_activation<ops::Conv2dAttrs>(rewriter, node);
    }
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
