#include "src/graph/passes/rewrite.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/conv2d_pool.hpp"
#include "src/ops/pool2d.hpp"

namespace gpunn::passes {
namespace {

bool is_plain(const ops::Conv2dAttrs& conv) {
  const bool relu_or_none =
      conv.activation == ops::Activation::linear || conv.activation == ops::Activation::relu;
  return relu_or_none && conv.groups == 1 && conv.strides == ops::Size2d{} && conv.dilation == ops::Size2d{};
}

bool is_two_by_two(const ops::Pool2dAttrs& pool) {
  const ops::Size2d two{2, 2};
  return pool.window == two && pool.strides == two && pool.padding == ops::Padding2d{};
}

}  // namespace

void fuse_pools(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& pool = rewriter.node(i);
    if (pool.op->name != "max_pool2d" || !is_two_by_two(std::any_cast<const ops::Pool2dAttrs&>(pool.attrs)))
      continue;
    const ValueId map = pool.inputs[0];
    Node* conv = rewriter.producer(map, "conv2d");
    if (conv == nullptr || rewriter.only_reader(map) != &pool) continue;
    const auto attrs = std::any_cast<const ops::Conv2dAttrs&>(conv->attrs);
    // The place of the maximum in the image is of no use to anybody but the pool's own gradient.
    if (!is_plain(attrs) || rewriter.is_read(pool.outputs[1])) continue;
    pool.outputs.resize(1);
    rewriter.become(pool, "conv2d_pool", conv->inputs, ops::Conv2dPoolAttrs{attrs.padding, attrs.activation});
    pool.layer = conv->layer + " + " + pool.layer;
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
