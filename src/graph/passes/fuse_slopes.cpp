#include "src/graph/passes/rewrite.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/dense.hpp"
#include "src/ops/pool2d.hpp"

namespace gpunn::passes {
namespace {

template <class ProductAttrs>
void fuse(Rewriter& rewriter, Node& product, Node& slope) {
  auto attrs = std::any_cast<ProductAttrs>(product.attrs);
  if (product.inputs.size() > 2 && product.inputs[2] != kNoValue) return;
  if (product.accumulate[0] != kNoValue || slope.accumulate[0] != kNoValue) return;
  attrs.slope = std::any_cast<const ops::ActivationAttrs&>(slope.attrs).kind;
  if (attrs.slope == ops::Activation::gelu) return;
  product.attrs = attrs;
  product.inputs = {product.inputs[0], product.inputs[1], slope.inputs[0]};
  rewriter.replace(slope.outputs[0], product.outputs[0]);
  rewriter.retire(slope);
}

}  // namespace

void fuse_slopes(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& slope = rewriter.node(i);
    if (slope.op->name != "activation_backward") continue;
    const ValueId dy = slope.inputs[1];
    if (rewriter.only_reader(dy) != &slope) continue;
    if (Node* dense = rewriter.producer(dy, "dense_backward_data")) {
      fuse<ops::DenseBackwardDataAttrs>(rewriter, *dense, slope);
    } else if (Node* conv = rewriter.producer(dy, "conv2d_backward_data")) {
      fuse<ops::Conv2dBackwardDataAttrs>(rewriter, *conv, slope);
    }
  }
  rewriter.finish();
}

void fuse_pool_slopes(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& slope = rewriter.node(i);
    if (slope.op->name != "activation_backward") continue;
    const auto kind = std::any_cast<const ops::ActivationAttrs&>(slope.attrs).kind;
    Node* backward = rewriter.producer(slope.inputs[1], "max_pool2d_backward");
    if (backward == nullptr || rewriter.only_reader(slope.inputs[1]) != &slope) continue;
    if (kind == ops::Activation::gelu || backward->accumulate[0] != kNoValue ||
        slope.accumulate[0] != kNoValue)
      continue;
    // The pool's x must be what the activation made: then y is that output wherever something flows back.
    Node* pool = rewriter.producer(backward->inputs[1], "max_pool2d");
    if (pool == nullptr || pool->inputs[0] != slope.inputs[0]) continue;
    const auto attrs = std::any_cast<const ops::Pool2dBackwardAttrs&>(backward->attrs);
    rewriter.become(*backward, "max_pool2d_backward_slope",
                    {backward->inputs[0], backward->inputs[1], pool->outputs[0]},
                    ops::Pool2dBackwardSlopeAttrs{attrs, kind});
    rewriter.replace(slope.outputs[0], backward->outputs[0]);
    rewriter.retire(slope);
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
