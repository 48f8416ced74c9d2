// Runs a whole Graph on the reference backend, node after node, in T.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {

template <class T>
class Interpreter {
 public:
  explicit Interpreter(const Graph& graph) : graph_(graph), values_(graph.values().size()) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const Value& value = graph.values()[i];
      const std::int64_t elements = value.spec.shape.elements();
      if (is_buffer(value.place.store)) {
        auto& buffer = buffers_[static_cast<std::size_t>(value.place.store)];
        const std::size_t end = first_element(value) + static_cast<std::size_t>(elements);
        if (buffer.size() < end) buffer.resize(end);
      } else {
        values_[i].resize(static_cast<std::size_t>(elements));
      }
    }
  }

  // The elements of a value; integers as T. Of variables they are the buffer's, as everywhere.
  std::span<T> operator[](ValueId id) {
    const Value& value = graph_.value(id);
    if (!is_buffer(value.place.store)) return values_[static_cast<std::size_t>(id)];
    auto& buffer = buffers_[static_cast<std::size_t>(value.place.store)];
    return {buffer.data() + first_element(value), static_cast<std::size_t>(value.spec.shape.elements())};
  }

  template <class U>
  void set(ValueId id, std::span<const U> elements) {
    std::ranges::transform(elements, (*this)[id].begin(), [](U x) { return static_cast<T>(x); });
  }

  cpu::StepState step;

  void run() { run(0, graph_.nodes().size()); }

  // Nodes [begin, end).
  void run(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) run(graph_.nodes()[i]);
  }

  // One node; not necessarily of the graph.
  void run(const Node& node) {
    const Graph::CallStorage storage = graph_.call(node);
    Run<T> run{.call = storage.call, .inputs = {}, .outputs = {}, .step = step};
    for (const ValueId id : node.inputs) run.inputs.push_back(id == kNoValue ? nullptr : (*this)[id].data());
    std::vector<std::vector<T>> made;
    for (const ValueId id : node.outputs) made.emplace_back((*this)[id].size());
    for (auto& output : made) run.outputs.push_back(output.data());
    Registry::instance().find<T>(node.op->name)(run);
    for (std::size_t k = 0; k < made.size(); ++k) {
      const std::span<T> output = (*this)[node.outputs[k]];
      for (std::size_t i = 0; i < output.size(); ++i) {
        output[i] = made[k][i] + (node.accumulate[k] == kNoValue ? T(0) : (*this)[node.accumulate[k]][i]);
      }
    }
  }

 private:
  static bool is_buffer(Store store) {
    return store != Store::arena && store != Store::input && store != Store::output;
  }
  static std::size_t first_element(const Value& value) {
    return value.place.offset / size_of(value.spec.dtype);
  }

  const Graph& graph_;
  std::vector<std::vector<T>> values_;      // by id; empty for those in a buffer
  std::array<std::vector<T>, 10> buffers_;  // by Store
};

}  // namespace gpunn::reference
