// Names, variables, sharing and the table of networks.

#include "src/nn/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "gpunn/gpunn.hpp"
#include "src/nn/summary.hpp"
#include "src/ops/dropout.hpp"

namespace gpunn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

nn::Network cnn() {
  return nn::Network::chain({Input({28, 28, 1}), Conv2D(32, 3, {.activation = relu}), MaxPooling2D(),
                             Conv2D(64, 3, {.activation = relu}), MaxPooling2D(), Flatten(),
                             Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                            {});
}

TEST(Network, NamesAreKeras) {
  EXPECT_EQ(nn::snake_case("Conv2D"), "conv2d");
  EXPECT_EQ(nn::snake_case("MaxPooling2D"), "max_pooling2d");
  EXPECT_EQ(nn::snake_case("GlobalAveragePooling2D"), "global_average_pooling2d");
  EXPECT_EQ(nn::snake_case("BatchNormalization"), "batch_normalization");
  EXPECT_EQ(nn::snake_case("SimpleRNN"), "simple_rnn");
  EXPECT_EQ(nn::snake_case("GRU"), "gru");

  VariableStore store;
  cnn().declare(store);
  std::vector<std::string> names;
  for (const Variable& v : store.variables()) names.push_back(v.name);
  EXPECT_THAT(names, ElementsAre("conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "conv2d_1/bias",
                                 "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"));
}

TEST(Network, SummaryIsKerasTable) {
  const std::string expected =
      "Model: \"sequential\"\n"
      "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓\n"
      "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃\n"
      "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩\n"
      "│ conv2d (Conv2D)                 │ (None, 26, 26, 32)     │           320 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ max_pooling2d (MaxPooling2D)    │ (None, 13, 13, 32)     │             0 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ conv2d_1 (Conv2D)               │ (None, 11, 11, 64)     │        18,496 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ max_pooling2d_1 (MaxPooling2D)  │ (None, 5, 5, 64)       │             0 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ flatten (Flatten)               │ (None, 1600)           │             0 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ dense (Dense)                   │ (None, 64)             │       102,464 │\n"
      "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
      "│ dense_1 (Dense)                 │ (None, 10)             │           650 │\n"
      "└─────────────────────────────────┴────────────────────────┴───────────────┘\n"
      " Total params: 121,930 (476.29 KB)\n"
      " Trainable params: 121,930 (476.29 KB)\n"
      " Non-trainable params: 0 (0.00 B)\n";
  EXPECT_EQ(nn::summary(cnn(), "sequential", -1), expected);
}

TEST(Network, SummaryOfABranchShowsConnections) {
  const Symbolic x = Input({8}, {.name = "features"});
  const Symbolic a = Dense(4, {.name = "left"})(x), b = Dense(4)(x);
  const nn::Network network({x}, {Add()({a, b})}, {});
  EXPECT_FALSE(network.is_chain());
  const std::string text = nn::summary(network, "functional", -1);
  EXPECT_THAT(text, HasSubstr("features (InputLayer)"));
  EXPECT_THAT(text, HasSubstr("│ left, dense "));
  EXPECT_THAT(text, HasSubstr("Total params: 72 (288.00 B)"));
}

TEST(Network, ASharedLayerHasOneSetOfWeights) {
  const Layer shared = Dense(4);
  const Symbolic x = Input({4});
  const nn::Network network({x}, {shared(shared(x))}, {});
  EXPECT_EQ(network.layers().size(), 1u);
  EXPECT_EQ(network.calls().size(), 2u);
  VariableStore store;
  network.declare(store);
  EXPECT_EQ(store.variables().size(), 2u);
}

TEST(Network, MistakesAreNamed) {
  const Symbolic x = Input({4}), stranger = Input({4});
  EXPECT_THROW(nn::Network({x}, {Dense(2)(stranger)}, {}), UsageError);
  EXPECT_THROW(nn::Network({}, {Dense(2)(x)}, {}), UsageError);
  EXPECT_THROW(nn::Network({x, x}, {Dense(2)(x)}, {}), UsageError);
  EXPECT_THROW(nn::Network({Dense(2)(x)}, {Dense(2)(x)}, {}), UsageError);
  EXPECT_THROW(nn::Network::chain({Dense(2)}, {}), UsageError);
  EXPECT_THROW(nn::Network::chain({Input({3}), Input({3})}, {}), UsageError);
  EXPECT_THROW(nn::Network::chain({Input({3}), Dense(2, {.name = "a"}), Dense(2, {.name = "a"})}, {}),
               UsageError);
  EXPECT_THROW(Layer{Dense(2)(x)}, UsageError);
  try {
    const std::vector<Layer> layers{Input({4, 4, 1}), Dense(2), Conv2D(1, 5)};
    nn::Network::chain(layers, {});
    FAIL() << "a 5x5 kernel on a 4x4 image";
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("network_test.cpp:" + std::to_string(__LINE__ - 4)));
    EXPECT_THAT(error.what(), HasSubstr("layer 'conv2d' (Conv2D) on [4, 4, 2]"));
  }
}

TEST(Network, TraceHasDropoutAndStatisticsOnlyInTraining) {
  const nn::Network network =
      nn::Network::chain({Input({6}), Dense(5), BatchNormalization(), Dropout(0.5), Dense(2)}, {});
  VariableStore store;
  network.declare(store);
  const auto count = [&](nn::Mode mode, std::string_view op) {
    Graph graph;
    const ValueId x = graph.input("x", {Shape{3, 6}});
    const auto trace = network.trace(graph, mode, {x}, store);
    EXPECT_EQ(graph.spec(trace.outputs[0]).shape, (Shape{3, 2}));
    std::size_t n = 0;
    for (const Node& node : graph.nodes()) n += node.op->name == op;
    for (const nn::StateUpdate& update : trace.updates) n += update.op == op;
    return n;
  };
  EXPECT_EQ(count(nn::Mode::train, "dropout"), 1u);
  EXPECT_EQ(count(nn::Mode::evaluate, "dropout"), 0u);
  EXPECT_EQ(count(nn::Mode::train, "batch_norm_update"), 1u);
  EXPECT_EQ(count(nn::Mode::predict, "batch_norm_update"), 0u);
  EXPECT_EQ(count(nn::Mode::predict, "batch_norm_mean"), 0u);
  EXPECT_EQ(count(nn::Mode::predict, "dense"), 2u);
}

TEST(Network, EachDropoutDrawsItsOwnNumbers) {
  const Layer shared = Dropout(0.5);
  const Symbolic x = Input({6});
  const nn::Network network({x}, {Dropout(0.5)(shared(shared(x)))}, {});
  Graph graph;
  network.trace(graph, nn::Mode::train, {graph.input("x", {Shape{3, 6}})}, VariableStore());
  std::set<std::uint32_t> streams;
  for (const Node& node : graph.nodes())
    streams.insert(std::any_cast<const ops::DropoutAttrs&>(node.attrs).stream);
  EXPECT_EQ(streams.size(), 3u);
}

}  // namespace
}  // namespace gpunn
