#include "src/ops/batch_norm.hpp"

#include <algorithm>

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

void expect_rows(const OpCall& call, std::size_t k) {
  expects(is_f32(call, k) && call.inputs[k].shape.rank() >= 2, call, "x must be f32 [batch, ..., channels]");
}

// Inputs from `first` to before `end`, where given, are f32 [channels of x].
void expect_channels(const OpCall& call, std::size_t first, std::size_t end = 9) {
  for (std::size_t k = first; k < std::min(end, call.inputs.size()); ++k) {
    if (!has(call, k)) continue;
    expects(call.inputs[k] == Spec{Shape{call.inputs[0].shape[-1]}}, call,
            "statistics and parameters must be f32 [channels]");
  }
}

// Inputs `first` and the one after it are a mask of the steps of x and its count, or neither is there.
void expect_mask(const OpCall& call, std::size_t first) {
  expects(has(call, first) == has(call, first + 1), call, "a mask and its count come together");
  if (!has(call, first)) return;
  const Shape& x = call.inputs[0].shape;
  expects(x.rank() >= 3 && call.inputs[first] == Spec{Shape{x[0], x[1]}, Dtype::u8} &&
              call.inputs[first + 1] == Spec{Shape{1}},
          call, "the mask must be u8 [batch, steps] of x, its count f32 [1]");
}

Specs infer_mean(const OpCall& call) {
  expects(!call.inputs.empty() && call.inputs.size() <= 3, call, "takes x, mask? and count?");
  expect_rows(call, 0);
  expect_mask(call, 1);
  return {{Shape{call.inputs[0].shape[-1]}}};
}

Specs infer_variance(const OpCall& call) {
  expects(call.inputs.size() >= 2 && call.inputs.size() <= 4, call, "takes x, mean, mask? and count?");
  expect_rows(call, 0);
  expect_channels(call, 1, 2);
  expect_mask(call, 2);
  return {{Shape{call.inputs[0].shape[-1]}}};
}

Specs infer(const OpCall& call) {
  expects(call.inputs.size() >= 3, call, "takes x, mean, variance, gamma? and beta?");
  expect_rows(call, 0);
  expect_channels(call, 1);
  return {call.inputs[0]};
}

Specs infer_backward_sums(const OpCall& call) {
  expects(call.inputs.size() == 4 && call.inputs[0] == call.inputs[1], call,
          "takes x, dy alike, mean and variance");
  expect_rows(call, 0);
  expect_channels(call, 2);
  return {call.inputs[2], call.inputs[2]};
}

Specs infer_backward(const OpCall& call) {
  expects((call.inputs.size() == 7 || call.inputs.size() == 9) && call.inputs[0] == call.inputs[1], call,
          "takes x, dy alike, mean, variance, gamma?, dgamma?, dbeta?, mask? and count?");
  expect_rows(call, 0);
  expect_channels(call, 2, 7);
  expects(has(call, 5) == has(call, 6), call, "dgamma and dbeta come together");
  expect_mask(call, 7);
  return {call.inputs[0]};
}

Specs infer_update(const OpCall& call) {
  expects(call.inputs.size() == 4 && is_f32(call, 0) && call.inputs[0].shape.rank() == 1, call,
          "takes moving mean and variance, mean and variance, all f32 [channels]");
  expect_channels(call, 1);
  return {};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto input = [&](std::size_t k) { return k < node.inputs.size() ? node.inputs[k] : kNoValue; };
  const ValueId x = input(0), mean = input(1), variance = input(2), gamma = input(3), beta = input(4);
  const auto producer = graph.value(mean).producer;
  const bool training =
      producer >= 0 && graph.nodes()[static_cast<std::size_t>(producer)].op->name == "batch_norm_mean";
  // Copied: emitting moves the nodes.
  const ValueIds of_mean = training ? graph.nodes()[static_cast<std::size_t>(producer)].inputs : ValueIds{};
  const ValueIds sums = graph.emit("batch_norm_backward_sums", {x, dy[0], mean, variance}, node.attrs);
  ValueIds inputs = {x, dy[0], mean, variance, gamma, kNoValue, kNoValue};
  if (training) std::copy(sums.begin(), sums.end(), inputs.begin() + 5);
  if (of_mean.size() == 3) inputs.insert(inputs.end(), of_mean.begin() + 1, of_mean.end());
  const ValueId dx = graph.emit1("batch_norm_backward", std::move(inputs), node.attrs);
  ValueIds shares = {dx, kNoValue, kNoValue, gamma == kNoValue ? kNoValue : sums[0],
                     beta == kNoValue ? kNoValue : sums[1]};
  shares.resize(node.inputs.size());
  return shares;
}

}  // namespace

void define_batch_norm(Registry& registry) {
  registry.add(
      {.name = "batch_norm_mean", .outputs = {Rows::sum}, .infer = infer_mean, .cost = per_input_element<1>});
  registry.add({.name = "batch_norm_variance",
                .outputs = {Rows::sum},
                .infer = infer_variance,
                .cost = per_input_element<3>});
  registry.add({.name = "batch_norm",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<2>});
  registry.add({.name = "batch_norm_backward_sums",
                .outputs = {Rows::sum, Rows::sum},
                .infer = infer_backward_sums,
                .cost = per_input_element<5>});
  registry.add({.name = "batch_norm_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_output_element<5>,
                .accumulates = 1});
  registry.add({.name = "batch_norm_update",
                .outputs = {},
                .infer = infer_update,
                .cost = per_input_element<6>,
                .mutates = 0b11});
}

}  // namespace gpunn::ops
