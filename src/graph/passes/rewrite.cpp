#include "src/graph/passes/rewrite.hpp"

#include <algorithm>

namespace gpunn::passes {

Node* Rewriter::producer(ValueId id, std::string_view op) {
  if (id == kNoValue || graph_.value(id).producer < 0) return nullptr;
  Node& node = graph_.nodes()[static_cast<std::size_t>(graph_.value(id).producer)];
  return node.op->name == op ? &node : nullptr;
}

Node* Rewriter::only_reader(ValueId id) {
  if (graph_.value(id).place.store != Store::arena) return nullptr;
  Node* reader = nullptr;
  for (Node& node : graph_.nodes()) {
    const auto reads = std::count(node.inputs.begin(), node.inputs.end(), id) +
                       std::count(node.accumulate.begin(), node.accumulate.end(), id);
    if (reads == 0) continue;
    if (reads > 1 || reader != nullptr) return nullptr;
    reader = &node;
  }
  return reader;
}

bool Rewriter::is_read(ValueId id) const {
  return std::any_of(graph_.nodes().begin(), graph_.nodes().end(), [&](const Node& node) {
    return std::count(node.inputs.begin(), node.inputs.end(), id) > 0;
  });
}

void Rewriter::replace(ValueId from, ValueId to) {
  for (Node& node : graph_.nodes()) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
    std::replace(node.accumulate.begin(), node.accumulate.end(), from, to);
  }
  Place& place = graph_.mutable_values()[static_cast<std::size_t>(from)].place;
  if (place.store != Store::arena) graph_.place(to, place);
  place = {};
}

void Rewriter::become(Node& node, std::string_view op, ValueIds inputs, Attrs attrs) {
  node.op = &find_op(op);
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  const ValueIds kept = node.outputs;
  node.outputs.clear();
  const Specs specs = node.op->infer(graph_.call(node).call);
  node.outputs = kept;
  node.accumulate.resize(specs.size(), kNoValue);
  const bool batched = std::any_of(node.inputs.begin(), node.inputs.end(),
                                   [&](ValueId id) { return id != kNoValue && graph_.value(id).batched; });
  for (std::size_t k = 0; k < specs.size(); ++k) {
    if (k < kept.size()) {
      if (graph_.spec(kept[k]) != specs[k])
        throw UsageError("a pass changed the shape of '" + graph_.value(kept[k]).name + "'");
      continue;
    }
    Value made;
    made.spec = specs[k];
    made.batched = batched && node.op->outputs[k] != Rows::sum;
    made.producer = static_cast<std::int32_t>(&node - graph_.nodes().data());
    made.name = node.layer + "/" + node.op->name + ":" + std::to_string(k);
    node.outputs.push_back(static_cast<ValueId>(graph_.values().size()));
    graph_.mutable_values().push_back(std::move(made));
  }
}

void Rewriter::drop_dead() {
  auto& nodes = graph_.nodes();
  std::vector<bool> needed(graph_.values().size());
  std::vector<bool> alive(nodes.size());
  for (std::size_t i = 0; i < needed.size(); ++i) needed[i] = graph_.values()[i].place.store != Store::arena;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = nodes.size(); i-- > 0;) {
      const Node& node = nodes[i];
      if (alive[i]) continue;
      const bool wanted = node.op->mutates != 0 ||
                          std::any_of(node.outputs.begin(), node.outputs.end(),
                                      [&](ValueId id) { return needed[static_cast<std::size_t>(id)]; });
      if (!wanted) continue;
      alive[i] = changed = true;
      for (const ValueIds* read : {&node.inputs, &node.accumulate}) {
        for (const ValueId id : *read) {
          if (id != kNoValue) needed[static_cast<std::size_t>(id)] = true;
        }
      }
    }
  }
  std::vector<Node> kept;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (alive[i]) kept.push_back(std::move(nodes[i]));
  }
  nodes = std::move(kept);
}

void Rewriter::sort() {
  auto& nodes = graph_.nodes();
  std::vector<bool> made(graph_.values().size(), true), placed(nodes.size());
  for (const Node& node : nodes) {
    for (const ValueId id : node.outputs) made[static_cast<std::size_t>(id)] = false;
  }
  const auto have = [&](ValueId id) { return id == kNoValue || made[static_cast<std::size_t>(id)]; };
  std::vector<Node> sorted;
  while (sorted.size() < nodes.size()) {
    const std::size_t before = sorted.size();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      Node& node = nodes[i];
      if (placed[i] || !std::all_of(node.inputs.begin(), node.inputs.end(), have) ||
          !std::all_of(node.accumulate.begin(), node.accumulate.end(), have)) {
        continue;
      }
      placed[i] = true;
      for (const ValueId id : node.outputs) made[static_cast<std::size_t>(id)] = true;
      sorted.push_back(std::move(node));
    }
    if (sorted.size() == before) throw UsageError("the graph has a cycle");
  }
  nodes = std::move(sorted);
  for (Value& value : graph_.mutable_values()) value.producer = -1;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const ValueId id : nodes[i].outputs) {
      graph_.mutable_values()[static_cast<std::size_t>(id)].producer = static_cast<std::int32_t>(i);
    }
  }
}

void Rewriter::finish() {
  drop_dead();
  sort();
}

}  // namespace gpunn::passes
