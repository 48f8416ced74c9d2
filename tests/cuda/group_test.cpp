// What must change no bit: how many steps are one launch, how many streams they use, whether they are
// captured at all.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <gpunn/gpunn.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "simt/simt.hpp"
#include "src/graph/compile.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/conv2d.hpp"
#include "tests/cuda/devices.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kSamples = 52, kBatch = 4;  // 13 steps an epoch, so 8 a launch leave 5

struct Fitted {
  std::vector<float> weights;
  std::vector<double> history;
  std::uint64_t graph_launches = 0;
};

std::vector<Tensor> images_and_labels() {
  Tensor x(Shape{kSamples, 12, 12, 1}), y(Shape{kSamples}, Dtype::i32);
  for (std::size_t i = 0; i < x.data<float>().size(); ++i)
    x.data<float>()[i] = uniform01({.seed = 11, .stream = 1}, i);
  for (std::size_t i = 0; i < kSamples; ++i)
    y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i * 7 % 10);
  return {x, y};
}

// Two branches that meet again, so that nodes of the forward pass run side by side as well.
Fitted fit(const std::string& device, int steps_per_execution) {
  Sequential model({Input({12, 12, 1}), Conv2D(4, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                    Conv2D(8, {3, 3}), BatchNormalization(), Activation(tanh), Flatten(), Dropout(0.25),
                    Dense(16, {.activation = relu}), Dense(10, {.activation = softmax})},
                   {.device = device, .threads = 1});
  model.compile({.optimizer = Adam({.global_clipnorm = 1.0}),
                 .loss = SparseCategoricalCrossentropy(),
                 .metrics = {accuracy},
                 .steps_per_execution = steps_per_execution});
  const auto data = images_and_labels();
  simt::clear_calls();
  const History history =
      model.fit(data[0], data[1], FitOptions{.epochs = 2, .batch_size = kBatch, .verbose = Verbose::silent});
  Fitted run;
  run.graph_launches = simt::calls("cudaGraphLaunch");
  for (const char* name : {"loss", "accuracy"}) {
    const auto& values = history[name];
    run.history.insert(run.history.end(), values.begin(), values.end());
  }
  for (const std::string& name : model.weight_names()) {
    const Tensor weight = model.weight(name).clone();
    const auto values = std::as_const(weight).data<float>();
    run.weights.insert(run.weights.end(), values.begin(), values.end());
  }
  return run;
}

void expect_same_bits(const Fitted& a, const Fitted& b) {
  EXPECT_EQ(a.history, b.history);
  ASSERT_EQ(a.weights.size(), b.weights.size());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * sizeof(float)), 0);
}

class CudaGroups : public ::testing::Test {
 protected:
  void SetUp() override { register_devices(); }
  void TearDown() override { simt::set_options(simt::Options::from_environment()); }
};

TEST_F(CudaGroups, StepsPerLaunchChangeNoBit) {
  const Fitted one = fit("sim", 1), eager = fit("sim-eager", 1);
  EXPECT_EQ(one.graph_launches, 25u);  // the first step of all loads the kernels
  EXPECT_EQ(eager.graph_launches, 0u);
  expect_same_bits(eager, one);
  expect_same_bits(fit("sim-eager", 8), one);
  for (const int steps : {3, 8, 100}) {
    SCOPED_TRACE(steps);
    const Fitted group = fit("sim", steps);
    expect_same_bits(group, one);
    // Whole groups, and what an epoch leaves; the first step is on its own and shortens the first group.
    const auto launches = [&](int count) { return static_cast<std::uint64_t>((count + steps - 1) / steps); };
    EXPECT_EQ(group.graph_launches, launches(13) + launches(13));
  }
}

TEST_F(CudaGroups, StreamsChangeNoBit) {
  const Fitted serial = fit("sim-serial", 1);
  const std::pair<simt::Streams, std::uint64_t> orders[] = {
      {simt::Streams::lazy, 1}, {simt::Streams::random, 1}, {simt::Streams::random, 2}};
  for (const auto& [streams, seed] : orders) {
    simt::Options options = simt::options();
    options.streams = streams;
    options.seed = seed;
    simt::set_options(options);
    expect_same_bits(fit("sim", 8), serial);
    expect_same_bits(fit("sim-eager", 1), serial);
  }
}

// Counted as they start, with what a group adds to a step: two gathers and a line of results.
TEST_F(CudaGroups, KernelsThatStartAreThoseOfThePlan) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})},
                   {.device = "sim"});
  model.compile(
      {.optimizer = Adam(), .loss = BinaryCrossentropy(), .metrics = {accuracy}, .steps_per_execution = 8});
  const Tensor x(Shape{64, 10}), y(Shape{64, 1});
  const FitOptions one_epoch{.epochs = 1, .batch_size = kBatch, .verbose = Verbose::silent};
  model.fit(x, y, one_epoch);
  simt::clear_launches();
  simt::clear_calls();
  model.fit(x, y, one_epoch);
  EXPECT_EQ(simt::calls("cudaGraphLaunch"), 2u);
  constexpr std::uint64_t kPerStep = 7 + 2 + 1;
  EXPECT_EQ(simt::calls("cudaLaunchKernelExC"), 8 * kPerStep) << "once, to record the group";
  EXPECT_EQ(simt::launches().size(), 16 * kPerStep);
}

// A weight gradient runs beside the data gradient; values that either needs keep their memory until both are
// done.
TEST_F(CudaGroups, WeightGradientsRunBesideDataGradients) {
  // Of a convolution, and of dense layers too large to have both in one launch.
  Sequential model(
      {Input({12, 12, 1}), Conv2D(4, {3, 3}, {.activation = relu}), Conv2D(4, {3, 3}, {.activation = relu}),
       Flatten(), Dense(9000, {.activation = relu}), Dense(10, {.activation = softmax})},
      {.device = "sim"});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
  const auto plan = nlohmann::json::parse(model.plan({.batch_size = kBatch}).json);
  std::map<int, std::vector<std::string>> regions;
  for (const auto& step : plan["steps"]) regions[step["region"]].push_back(step["op"]);
  int pairs = 0;
  for (const auto& [region, ops] : regions) {
    if (ops.size() < 2) continue;
    EXPECT_THAT(ops, ::testing::UnorderedElementsAre(::testing::EndsWith("_backward_data"),
                                                     ::testing::EndsWith("_backward_weights")));
    ++pairs;
  }
  EXPECT_EQ(pairs, 3);
}

// Both gradients of this convolution are long sums, so both need workspace, and each its own.
TEST_F(CudaGroups, NodesSideBySideShareNoWorkspace) {
  VariableStore variables;
  variables.add("kernel", {Shape{3, 3, 16, 64}}, true);
  Graph graph;
  const ValueId x = graph.input("x", {Shape{8, 12, 12, 16}}), y = graph.input("y", {Shape{8, 10, 10, 64}});
  const ValueId w = graph.external("kernel", {Shape{3, 3, 16, 64}}, variables.place(0));
  const ValueId h = graph.emit1("activation", {x}, ops::ActivationAttrs{ops::Activation::tanh});
  const ValueId loss =
      graph.emit1("mean_squared_error", {graph.emit1("conv2d", {h, w}, ops::Conv2dAttrs{}), y, kNoValue});
  const ValueIds d = gradients(graph, {loss}, {x, w});
  graph.place(loss, {Store::output, 0});
  graph.place(d[0], {Store::output, 1});
  graph.place(d[1], {Store::output, 2});
  const Plan plan = plan_graph(graph, variables, 1, {.device = "sim-own"}).plan;
  int pairs = 0;
  for (std::size_t i = 1; i < plan.nodes.size(); ++i) {
    const PlannedNode &a = plan.nodes[i - 1], &b = plan.nodes[i];
    if (a.region != b.region || a.scratch == 0 || b.scratch == 0) continue;
    ++pairs;
    EXPECT_GE(b.scratch_offset, a.scratch_offset + a.scratch);
    EXPECT_EQ(b.scratch_offset % 256, 0u);
    EXPECT_GE(plan.scratch_bytes, b.scratch_offset + b.scratch);
  }
  EXPECT_EQ(pairs, 1);
}

// Two chains side by side: what one has read may only be overwritten by the other when both are past it.
TEST_F(CudaGroups, NodesSideBySideShareNoMemory) {
  constexpr std::int64_t kRows = 64, kColumns = 40;
  Graph graph;
  ValueIds ends;
  for (const char* name : {"a", "b"}) {
    ValueId h = graph.input(name, {Shape{kRows, kColumns}});
    for (int depth = 0; depth < 6; ++depth)
      h = graph.emit1("activation", {h}, ops::ActivationAttrs{ops::Activation::tanh});
    graph.place(h, {Store::output, ends.size()});
    ends.push_back(h);
  }
  std::vector<float> a(kRows * kColumns, 0.5f), b(kRows * kColumns, -0.25f);
  const auto run = [&](const std::string& device) {
    VariableStore variables;
    variables.allocate(false, 0);
    ThreadPool pool(1);
    const auto executable = compile(graph, variables, pool, {.device = device});
    executable->set_input(0, a.data(), nullptr);
    executable->set_input(1, b.data(), nullptr);
    std::vector<float> all;
    for (int step = 0; step < 3; ++step) {
      executable->run({});
      for (int k = 0; k < 2; ++k) {
        const auto* y = static_cast<const float*>(executable->output(k));
        all.insert(all.end(), y, y + a.size());
      }
    }
    return all;
  };
  const std::vector<float> serial = run("sim-serial");
  for (const auto streams : {simt::Streams::lazy, simt::Streams::random}) {
    simt::Options options = simt::options();
    options.streams = streams;
    simt::set_options(options);
    EXPECT_EQ(run("sim"), serial);
    EXPECT_EQ(run("sim-eager"), serial);
  }
}

}  // namespace
}  // namespace gpunn
