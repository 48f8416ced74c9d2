#include <algorithm>
#include <set>
#include <string_view>

#include "src/graph/schedule.hpp"

namespace gpunn {
namespace {

bool is_elementwise(std::string_view op) {
  static const std::set<std::string_view> all = {
      "activation", "activation_backward", "affine", "affine_backward", "binary", "binary_backward", "chain",
      "dropout",    "dropout_backward"};
  return all.count(op) != 0;
}

// A view is the value it shows.
ValueId behind_views(const Graph& graph, ValueId id) {
  while (id != kNoValue && graph.value(id).producer >= 0) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(graph.value(id).producer)];
    if (!node.op->view) break;
    id = node.inputs[0];
  }
  return id;
}

// The output of `before` that `node` reads, or kNoValue.
ValueId read_from(const Graph& graph, const Node& node, const Node& before) {
  for (const ValueId id : node.inputs) {
    const ValueId value = behind_views(graph, id);
    if (std::find(before.outputs.begin(), before.outputs.end(), value) != before.outputs.end()) return value;
  }
  return kNoValue;
}

int readers(const Graph& graph, ValueId value) {
  int count = 0;
  for (const Node& node : graph.nodes()) {
    if (node.op->view) continue;
    count += std::any_of(node.inputs.begin(), node.inputs.end(),
                         [&](ValueId id) { return id != kNoValue && behind_views(graph, id) == value; });
  }
  return count;
}

std::string why_apart(const Graph& graph, const PlannedNode& planned, const PlannedNode& before) {
  const Node& node = graph.nodes()[static_cast<std::size_t>(planned.node)];
  const Node& earlier = graph.nodes()[static_cast<std::size_t>(before.node)];
  if (planned.segment != before.segment) return "needs all gradients";
  const ValueId value = read_from(graph, node, earlier);
  if (value == kNoValue) return "reads nothing of it";
  if (!is_elementwise(node.op->name)) return "each block reads what many blocks of it write";
  if (readers(graph, value) > 1) return "others read what it makes, too";
  const std::string_view by = before.implementation;
  if (by.rfind("cublaslt", 0) == 0 || by.rfind("cudnn", 0) == 0)
    return "no epilogue of the library does this";
  return "no kernel does both";
}

}  // namespace

void explain_launches(const Graph& graph, Plan& plan) {
  const PlannedNode* before = nullptr;
  for (PlannedNode& planned : plan.nodes) {
    if (planned.node < 0 || planned.launches == 0) continue;
    planned.apart = before == nullptr ? "the first" : why_apart(graph, planned, *before);
    before = &planned;
  }
}

}  // namespace gpunn
