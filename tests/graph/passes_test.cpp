// Every fusion against the path without it: the same numbers, fewer nodes.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gpunn/random.hpp"
#include "src/graph/compile.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/dense.hpp"
#include "src/ops/pool2d.hpp"
#include "src/ops/reshape.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kBatch = 9;

struct Network {
  VariableStore store;
  std::vector<float> images, labels;

  Network() {
    for (const auto& [name, shape] : {std::pair{"kernel", Shape{3, 3, 4, 8}},
                                      {"bias", Shape{8}},
                                      {"hidden", Shape{72, 6}},
                                      {"hidden bias", Shape{6}},
                                      {"out", Shape{6, 3}},
                                      {"out bias", Shape{3}}}) {
      store.add(name, {shape}, true);
    }
    store.allocate(true, 0);
    std::uint32_t stream = 0;
    for (std::size_t i = 0; i < store.variables().size(); ++i)
      fill(store.tensor(static_cast<int>(i)).data<float>(), ++stream, 0.4f);
    images.resize(kBatch * 8 * 8 * 4);
    labels.resize(kBatch * 3);
    fill(images, ++stream, 1);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % 2 == 0 ? 1.0f : 0.0f;
  }

  static void fill(std::span<float> to, std::uint32_t stream, float scale) {
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = scale * (2 * uniform01({.seed = 5, .stream = stream}, i) - 1);
  }

  ValueId variable(Graph& graph, int i) const {
    return graph.external(store.variables()[static_cast<std::size_t>(i)].name,
                          store.variables()[static_cast<std::size_t>(i)].spec, store.place(i));
  }

  // Every op apart, as a user of the graph would write them.
  Graph build(bool fuse) {
    Graph graph;
    const ValueId x = graph.input("x", {Shape{kBatch, 8, 8, 4}}), y = graph.input("y", {Shape{kBatch, 3}});
    ValueIds w;
    for (int i = 0; i < 6; ++i) w.push_back(variable(graph, i));
    const auto add = [&](ValueId a, ValueId b) {
      return graph.emit1("binary", {a, b}, ops::BinaryAttrs{ops::Binary::add});
    };
    const auto act = [&](ValueId a, ops::Activation kind) {
      return graph.emit1("activation", {a}, ops::ActivationAttrs{kind});
    };
    ValueId h = act(add(graph.emit1("conv2d", {x, w[0]}, ops::Conv2dAttrs{}), w[1]), ops::Activation::relu);
    h = graph.emit("max_pool2d", {h}, ops::Pool2dAttrs{})[0];
    h = graph.emit1("reshape", {h}, ops::ReshapeAttrs{Shape{72}});
    h = act(add(graph.emit1("dense", {h, w[2]}, ops::DenseAttrs{}), w[3]), ops::Activation::tanh);
    h = act(add(graph.emit1("dense", {h, w[4]}, ops::DenseAttrs{}), w[5]), ops::Activation::sigmoid);
    const ValueId loss = graph.emit1("binary_cross_entropy", {h, y, kNoValue});
    graph.place(loss, {Store::results, 0});
    graph.place(h, {Store::output, 0});
    if (fuse) fuse_forward(graph);
    const ValueIds dw = gradients(graph, {loss}, w);
    for (std::size_t i = 0; i < dw.size(); ++i) graph.place(dw[i], store.gradient_place(static_cast<int>(i)));
    return graph;
  }
};

struct Result {
  std::vector<float> probabilities, gradients;
  float loss = 0;
  std::vector<std::string> ops;
};

Result run(bool fuse) {
  Network network;
  ThreadPool pool(2);
  const auto executable = compile(network.build(fuse), network.store, pool, {.fuse = fuse});
  executable->set_input(0, network.images.data(), nullptr);
  executable->set_input(1, network.labels.data(), nullptr);
  executable->run(cpu::StepState{});
  Result result;
  const auto* p = static_cast<const float*>(executable->output(0));
  result.probabilities.assign(p, p + kBatch * 3);
  const auto* g = reinterpret_cast<const float*>(network.store.base(Store::gradients));
  result.gradients.assign(g, g + network.store.bytes(Store::gradients) / sizeof(float));
  result.loss = reinterpret_cast<const float*>(network.store.base(Store::results))[0];
  for (const PlannedNode& node : executable->plan().nodes) result.ops.push_back(node.op);
  return result;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  EXPECT_GT(norm, 0);
  return std::sqrt(difference / norm);
}

TEST(Passes, FusedAndUnfusedAgree) {
  const Result fused = run(true), plain = run(false);
  // 4 sqrt(K) 2^-24 for the longest sum, 288 products of a weight gradient.
  const double tolerance = 4 * std::sqrt(288.0) * 0x1p-24;
  EXPECT_LT(distance(fused.probabilities, plain.probabilities), tolerance);
  EXPECT_LT(distance(fused.gradients, plain.gradients), tolerance);
  EXPECT_NEAR(fused.loss, plain.loss, 1e-5f * plain.loss);
}

TEST(Passes, EveryPatternIsFound) {
  const Result fused = run(true), plain = run(false);
  const auto has = [](const Result& result, const char* op) {
    return std::find(result.ops.begin(), result.ops.end(), op) != result.ops.end();
  };
  for (const char* op : {"conv2d_pool", "conv2d_pool_backward_weights", "sigmoid_cross_entropy"}) {
    EXPECT_TRUE(has(fused, op)) << op;
    EXPECT_FALSE(has(plain, op)) << op;
  }
  for (const char* op :
       {"conv2d", "max_pool2d", "binary", "activation", "activation_backward", "binary_cross_entropy"}) {
    EXPECT_FALSE(has(fused, op)) << op << " is left over";
    EXPECT_TRUE(has(plain, op)) << op;
  }
  // Nobody asked for the gradient of the input: nothing computes it.
  EXPECT_FALSE(has(fused, "conv2d_pool_backward_data"));
  EXPECT_FALSE(has(plain, "conv2d_backward_data"));
}

// A gated residual block, in which nothing is a matrix product's epilogue.
Graph gated_block(const VariableStore& store) {
  Graph graph;
  const ValueId x = graph.input("x", {Shape{kBatch, 6}}), skip = graph.input("skip", {Shape{kBatch, 6}});
  const ValueId gain = graph.external("gain", {Shape{6}}, store.place(0));
  const auto binary = [&](ValueId a, ValueId b, ops::Binary kind) {
    return graph.emit1("binary", {a, b}, ops::BinaryAttrs{kind});
  };
  const ValueId gated = binary(gain, graph.emit1("affine", {x}, ops::AffineAttrs{.scale = 2, .offset = -1}),
                               ops::Binary::multiply);
  const ValueId h = graph.emit1("activation", {binary(gated, skip, ops::Binary::add)},
                                ops::ActivationAttrs{ops::Activation::relu});
  const ValueId y = graph.emit1("activation", {binary(h, x, ops::Binary::subtract)},
                                ops::ActivationAttrs{ops::Activation::sigmoid});
  const ValueId loss = graph.emit1("mean_squared_error", {y, skip, kNoValue});
  graph.place(loss, {Store::results, 0});
  graph.place(y, {Store::output, 0});
  graph.place(gradients(graph, {loss}, {gain})[0], store.gradient_place(0));
  return graph;
}

Result run_gated_block(bool fuse) {
  VariableStore store;
  store.add("gain", {Shape{6}}, true);
  store.allocate(true, 0);
  Network::fill(store.tensor(0).data<float>(), 1, 1);
  std::vector<float> x(kBatch * 6), skip(kBatch * 6);
  Network::fill(x, 2, 1);
  Network::fill(skip, 3, 1);
  ThreadPool pool(2);
  const auto executable = compile(gated_block(store), store, pool, {.fuse = fuse});
  executable->set_input(0, x.data(), nullptr);
  executable->set_input(1, skip.data(), nullptr);
  executable->run(cpu::StepState{});
  Result result;
  const auto* p = static_cast<const float*>(executable->output(0));
  result.probabilities.assign(p, p + kBatch * 6);
  const auto* g = reinterpret_cast<const float*>(store.base(Store::gradients));
  result.gradients.assign(g, g + 6);
  for (const PlannedNode& node : executable->plan().nodes) result.ops.push_back(node.op);
  return result;
}

TEST(Passes, ElementwiseChainsBecomeOnePass) {
  const Result fused = run_gated_block(true), plain = run_gated_block(false);
  const auto count = [](const Result& result, const char* op) {
    return std::count(result.ops.begin(), result.ops.end(), op);
  };
  // Forward: x * 2 - 1, * gain, + skip, relu, then - x and sigmoid (relu's output is kept for its slope).
  // Backward: the two slopes, and the product with x.
  EXPECT_EQ(count(plain, "chain"), 0);
  EXPECT_GE(count(fused, "chain"), 3);
  for (const char* op : {"activation", "activation_backward"}) EXPECT_EQ(count(fused, op), 0) << op;
  EXPECT_LT(fused.ops.size() + 4, plain.ops.size());
  EXPECT_EQ(fused.probabilities, plain.probabilities);
  EXPECT_LT(distance(fused.gradients, plain.gradients), 4 * std::sqrt(double{kBatch}) * 0x1p-24);
}

}  // namespace
}  // namespace gpunn
