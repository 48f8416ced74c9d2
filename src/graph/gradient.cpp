// Reverse-mode differentiation: walks the forward nodes backwards and appends, for each, the nodes of its
// gradient.

#include <algorithm>

#include "gpunn/graph.hpp"
#include "src/ops/binary.hpp"

namespace gpunn {
namespace {

class Backward {
 public:
  explicit Backward(Graph& graph) : graph_(graph), gradient_(graph.values().size(), kNoValue) {}

  // Adds one consumer's share to the gradient of `value`.
  void contribute(ValueId value, ValueId share) {
    ValueId& sum = gradient_[static_cast<std::size_t>(value)];
    if (sum == kNoValue) {
      sum = share;
    } else if (can_accumulate(share, sum)) {
      const auto [node, output] = producer(share);
      node.accumulate[output] = sum;
      sum = share;
    } else {
      sum = graph_.emit1("binary", {sum, share}, ops::BinaryAttrs{});
    }
  }

  ValueId of(ValueId value) const { return gradient_[static_cast<std::size_t>(value)]; }

  ValueIds of(const ValueIds& values) const {
    ValueIds gradients;
    for (const ValueId v : values) gradients.push_back(of(v));
    return gradients;
  }

 private:
  struct Output {
    Node& node;
    std::size_t output;
  };

  Output producer(ValueId id) {
    Node& node = graph_.nodes()[static_cast<std::size_t>(graph_.value(id).producer)];
    const auto at = std::find(node.outputs.begin(), node.outputs.end(), id);
    return {node, static_cast<std::size_t>(at - node.outputs.begin())};
  }

  bool is_read(ValueId id) const {
    return std::any_of(graph_.nodes().begin(), graph_.nodes().end(), [&](const Node& node) {
      return std::count(node.inputs.begin(), node.inputs.end(), id) +
                 std::count(node.accumulate.begin(), node.accumulate.end(), id) >
             0;
    });
  }

  // `share` may be added onto the memory of `sum` by the node that makes it, when nobody else looks at
  // either.
  bool can_accumulate(ValueId share, ValueId sum) {
    if (graph_.value(share).producer < 0 || graph_.value(sum).producer < 0) return false;
    const auto [node, output] = producer(share);
    const bool unshared = std::count(gradient_.begin(), gradient_.end(), sum) == 1 &&
                          std::count(gradient_.begin(), gradient_.end(), share) == 0;
    return (node.op->accumulates >> output & 1u) && node.accumulate[output] == kNoValue && unshared &&
           !is_read(sum) && !is_read(share) && !producer(sum).node.op->view &&
           graph_.spec(share) == graph_.spec(sum);
  }

  Graph& graph_;
  ValueIds gradient_;
};

// Which values depend on one of `wrt`: only through them does anything flow back.
std::vector<bool> dependents(const Graph& graph, const ValueIds& wrt) {
  std::vector<bool> depends(graph.values().size());
  for (const ValueId id : wrt) depends[static_cast<std::size_t>(id)] = true;
  for (const Node& node : graph.nodes()) {
    const bool any = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id != kNoValue && depends[static_cast<std::size_t>(id)];
    });
    for (const ValueId id : node.outputs) depends[static_cast<std::size_t>(id)] = any;
  }
  return depends;
}

}  // namespace

ValueIds gradients(Graph& graph, const ValueIds& losses, const ValueIds& wrt) {
  const std::vector<bool> depends = dependents(graph, wrt);
  const std::size_t forward_nodes = graph.nodes().size();
  const auto is_loss = [&](ValueId id) {
    return std::find(losses.begin(), losses.end(), id) != losses.end();
  };
  Backward backward(graph);
  graph.backward_ = true;

  for (std::size_t i = forward_nodes; i-- > 0;) {
    const Node node = graph.nodes()[i];  // a copy: emitting moves the nodes
    const ValueIds dy = backward.of(node.outputs);
    const bool starts = std::any_of(node.outputs.begin(), node.outputs.end(), is_loss);
    const bool reached = std::any_of(dy.begin(), dy.end(), [](ValueId id) { return id != kNoValue; });
    const bool leads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id != kNoValue && depends[static_cast<std::size_t>(id)];
    });
    if ((!starts && !reached) || !leads || node.op->gradient == nullptr) continue;

    graph.set_layer(node.layer, node.where);
    const ValueIds shares = node.op->gradient(graph, node, dy);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId input = node.inputs[k];
      if (input == kNoValue || shares[k] == kNoValue || !depends[static_cast<std::size_t>(input)]) continue;
      backward.contribute(input, shares[k]);
    }
  }
  graph.backward_ = false;
  return backward.of(wrt);
}

}  // namespace gpunn
