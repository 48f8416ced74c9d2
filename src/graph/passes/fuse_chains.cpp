#include <algorithm>
#include <optional>

#include "src/graph/passes/rewrite.hpp"
#include "src/ops/chain.hpp"

namespace gpunn::passes {
namespace {

using ops::ChainStep;

// A node as a step of a chain: which of its inputs the chain's value is, and which one is the step's operand.
struct Link {
  ChainStep step;
  std::size_t carried = 0;
  ValueId operand = kNoValue;
};

bool commutes(ops::Binary kind) {
  return kind == ops::Binary::add || kind == ops::Binary::multiply || kind == ops::Binary::maximum ||
         kind == ops::Binary::minimum;
}

bool is_like(const Graph& graph, ValueId id, ValueId other) {
  return graph.spec(id) == graph.spec(other) && graph.value(id).batched == graph.value(other).batched;
}

bool fits(const Graph& graph, ValueId x, ValueId operand) {
  return ops::fits_chain(graph.spec(x), graph.value(x).batched, graph.spec(operand),
                         graph.value(operand).batched);
}

std::optional<Link> binary_link(const Graph& graph, const Node& node, std::size_t carried) {
  const auto kind = std::any_cast<const ops::BinaryAttrs&>(node.attrs).kind;
  if (carried == 1 && !commutes(kind)) return {};
  const ValueId operand = node.inputs[1 - carried];
  if (!fits(graph, node.inputs[carried], operand)) return {};
  return Link{{.kind = ChainStep::Kind::binary, .binary = kind}, carried, operand};
}

// dy * b and dy * a, the gradients of a product.
std::optional<Link> product_link(const Graph& graph, const Node& node) {
  const auto& attrs = std::any_cast<const ops::BinaryBackwardAttrs&>(node.attrs);
  const ValueId other = node.inputs[attrs.operand == 0 ? 2 : 1];
  if (attrs.kind != ops::Binary::multiply || !fits(graph, node.inputs[0], other)) return {};
  return Link{{.kind = ChainStep::Kind::binary, .binary = ops::Binary::multiply}, 0, other};
}

// `node` as a step whose value comes in at input `carried`.
std::optional<Link> link_of(const Graph& graph, const Node& node, std::size_t carried) {
  const std::string& op = node.op->name;
  if (node.segment != Segment::gradients || node.outputs.size() != 1 ||
      !is_like(graph, node.inputs[carried], node.outputs[0])) {
    return {};
  }
  if (op == "binary") return binary_link(graph, node, carried);
  if (op == "binary_backward" && carried == 0) return product_link(graph, node);
  if (op == "affine" && carried == 0) {
    return Link{
        {.kind = ChainStep::Kind::affine, .affine = std::any_cast<const ops::AffineAttrs&>(node.attrs)}};
  }
  if (op != "activation" && op != "activation_backward") return {};
  const auto kind = std::any_cast<const ops::ActivationAttrs&>(node.attrs).kind;
  if (op == "activation" && carried == 0)
    return Link{{.kind = ChainStep::Kind::activation, .activation = kind}};
  if (op == "activation_backward" && carried == 1) {
    const ValueId kept = node.inputs[kind == ops::Activation::gelu ? 2 : 0];
    return Link{{.kind = ChainStep::Kind::slope, .activation = kind}, 1, kept};
  }
  return {};
}

std::optional<Link> first_link(const Graph& graph, const Node& node) {
  for (std::size_t carried = 0; carried < std::min<std::size_t>(node.inputs.size(), 2); ++carried) {
    if (node.inputs[carried] == kNoValue) continue;
    if (auto link = link_of(graph, node, carried)) return link;
  }
  return {};
}

// The longest chain that starts at node `first`: the places of its nodes.
std::vector<std::size_t> follow(Rewriter& rewriter, std::size_t first, std::vector<Link>& links) {
  std::vector<std::size_t> chain{first};
  while (links.size() < ops::kMaxChainSteps) {
    const Node& last = rewriter.node(chain.back());
    if (last.accumulate[0] != kNoValue) break;
    const ValueId value = last.outputs[0];
    const Node* reader = rewriter.only_reader(value);
    if (reader == nullptr) break;
    const auto at = std::find(reader->inputs.begin(), reader->inputs.end(), value);
    if (at == reader->inputs.end()) break;
    const auto link =
        link_of(rewriter.graph(), *reader, static_cast<std::size_t>(at - reader->inputs.begin()));
    if (!link) break;
    links.push_back(*link);
    chain.push_back(static_cast<std::size_t>(reader - &rewriter.node(0)));
  }
  return chain;
}

}  // namespace

void fuse_chains(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    if (rewriter.node(i).inputs.empty()) continue;  // retired
    const auto first = first_link(graph, rewriter.node(i));
    if (!first) continue;
    std::vector<Link> links{*first};
    const std::vector<std::size_t> chain = follow(rewriter, i, links);
    if (chain.size() < 2) continue;

    ValueIds inputs{rewriter.node(i).inputs[first->carried]};
    ops::ChainAttrs attrs;
    for (Link& link : links) {
      if (link.operand != kNoValue) {
        link.step.operand = static_cast<int>(inputs.size());
        inputs.push_back(link.operand);
      }
      attrs.steps.push_back(link.step);
    }
    rewriter.become(rewriter.node(chain.back()), "chain", inputs, attrs);
    for (std::size_t k = 0; k + 1 < chain.size(); ++k) rewriter.retire(rewriter.node(chain[k]));
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
