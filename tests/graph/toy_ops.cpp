#include "toy_ops.hpp"

#include <algorithm>

namespace gpunn::toy {
namespace {

Specs same(const OpCall& call) {
  expects(call.inputs[0].shape.rank() == 2, call, "x must be [batch, n]");
  return {call.inputs[0]};
}

Specs row(const OpCall& call) {
  return {Spec{Shape{call.inputs[0].shape[1]}}};
}

Cost heavy(const OpCall& call) {
  return {1e5 * static_cast<double>(call.inputs[0].shape.elements()), 0};
}

cpu::Implementation scale(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1];
  return {.name = "toy", .why = "test", .scratch = 0, .tasks = 0, .run = [n](const cpu::Slice& s) {
            for (std::int64_t i = 0; i < s.rows * n; ++i) {
              s.out(0)[i] = (s.add(0) ? s.out(0)[i] : 0.0f) + 2 * s.in(0)[i];
            }
          }};
}

cpu::Implementation total(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1];
  return {.name = "toy", .why = "test", .scratch = 0, .tasks = 0, .run = [n](const cpu::Slice& s) {
            if (!s.add(0)) std::fill_n(s.out(0), n, 0.0f);
            for (std::int64_t i = 0; i < s.rows * n; ++i) s.out(0)[i % n] += s.in(0)[i];
          }};
}

cpu::Implementation total_large(const OpCall& call, const cpu::Target& target) {
  cpu::Implementation whole = total(call, target);
  whole.tasks = 1;
  return whole;
}

cpu::Implementation center(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1], rows = call.inputs[0].shape[0];
  return {.name = "toy", .why = "test", .scratch = 0, .tasks = 2, .run = [n, rows](const cpu::Slice& s) {
            for (std::int64_t j = s.task; j < n; j += 2) {
              float mean = 0;
              for (std::int64_t i = 0; i < rows; ++i) mean += s.in(0)[i * n + j] / static_cast<float>(rows);
              for (std::int64_t i = 0; i < rows; ++i) s.out(0)[i * n + j] = s.in(0)[i * n + j] - mean;
            }
          }};
}

ValueIds scale_gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return graph.emit(*node.op, {dy[0]});
}

// d total / d x is one for every element; x stands in for its shape.
Specs ones_like(const OpCall& call) {
  return {call.inputs[0]};
}
cpu::Implementation ones(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1];
  return {.name = "toy", .why = "test", .scratch = 0, .tasks = 0, .run = [n](const cpu::Slice& s) {
            for (std::int64_t i = 0; i < s.rows * n; ++i) s.out(0)[i] = (s.add(0) ? s.out(0)[i] : 0.0f) + 1;
          }};
}
ValueIds total_gradient(Graph& graph, const Node& node, const ValueIds&) {
  return graph.emit("toy_ones", {node.inputs[0]});
}

}  // namespace

void register_once() {
  static const bool done = [] {
    register_op({.name = "toy_scale",
                 .outputs = {Rows::each},
                 .infer = same,
                 .gradient = scale_gradient,
                 .cost = heavy,
                 .accumulates = 1});
    register_op({.name = "toy_ones", .outputs = {Rows::each}, .infer = ones_like, .accumulates = 1});
    register_op({.name = "toy_total",
                 .outputs = {Rows::sum},
                 .infer = row,
                 .gradient = total_gradient,
                 .accumulates = 1});
    register_op({.name = "toy_total_large", .outputs = {Rows::sum}, .infer = row});
    register_op({.name = "toy_center", .outputs = {Rows::all}, .infer = same});
    cpu::register_op("toy_scale", scale);
    cpu::register_op("toy_ones", ones);
    cpu::register_op("toy_total", total);
    cpu::register_op("toy_total_large", total_large);
    cpu::register_op("toy_center", center);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace gpunn::toy
