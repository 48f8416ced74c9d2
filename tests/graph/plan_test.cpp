// Memory plans of random graphs, what a plan prints, and the backend that computes nothing.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "src/graph/compile.hpp"
#include "src/graph/null_backend.hpp"
#include "toy_ops.hpp"

namespace gpunn {
namespace {

// Random chains and joins of toy ops, with whole-batch ops that cut the graph into regions.
Graph random_graph(std::uint32_t seed) {
  toy::register_once();
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  Graph graph;
  const auto rows = static_cast<std::int64_t>(1 + below(300));
  ValueIds made = {graph.input("x", {Shape{rows, static_cast<std::int64_t>(1 + below(40))}})};
  std::size_t outputs = 0;
  for (int i = 0; i < 25; ++i) {
    const ValueId x = made[made.size() - 1 - below(std::min<std::size_t>(made.size(), 4))];
    const std::size_t kind = below(8);
    if (kind == 0) {
      graph.place(graph.emit1("toy_total", {x}), {Store::output, outputs++});
    } else {
      made.push_back(graph.emit1(kind == 1 ? "toy_center" : "toy_scale", {x}));
    }
  }
  graph.place(made.back(), {Store::output, outputs});
  return graph;
}

TEST(MemoryPlan, ValuesThatLiveTogetherNeverShareBytes) {
  std::size_t compared = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const VariableStore none;
    const Planned planned = plan_graph(random_graph(seed), none, 2);
    const auto& values = planned.plan.values;
    for (std::size_t a = 0; a < values.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        if (values[a].residence != values[b].residence || values[a].residence == Residence::external)
          continue;
        if (values[a].root == values[b].root || values[a].bytes == 0 || values[b].bytes == 0) continue;
        const bool together = values[a].first <= values[b].last && values[b].first <= values[a].last;
        const bool overlap = values[a].offset < values[b].offset + values[b].bytes &&
                             values[b].offset < values[a].offset + values[a].bytes;
        ASSERT_FALSE(together && overlap)
            << "seed " << seed << ": " << planned.graph.value(static_cast<ValueId>(a)).name << " and "
            << planned.graph.value(static_cast<ValueId>(b)).name;
        compared += together;
      }
    }
    EXPECT_GE(planned.plan.arena_bytes, planned.plan.arena_lower_bound);
    EXPECT_LE(static_cast<double>(planned.plan.local_bytes),
              1.34 * static_cast<double>(planned.plan.local_lower_bound))
        << seed;
  }
  EXPECT_GT(compared, 1000u);  // else the test looked at nothing
}

TEST(MemoryPlan, ReadersFollowWritersInTheSchedule) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const VariableStore none;
    const Planned planned = plan_graph(random_graph(seed), none, 2);
    std::vector<int> region_of(planned.graph.values().size(), -1);
    for (const PlannedNode& step : planned.plan.nodes) {
      if (step.node < 0) continue;
      const Node& node = planned.graph.nodes()[static_cast<std::size_t>(step.node)];
      for (const ValueId id : node.inputs) {
        const Value& value = planned.graph.value(id);
        if (value.producer < 0) continue;
        ASSERT_GE(region_of[static_cast<std::size_t>(id)], 0) << "read before it is made, seed " << seed;
        const bool same = region_of[static_cast<std::size_t>(id)] == step.region;
        ASSERT_TRUE(!same || planned.plan.regions[static_cast<std::size_t>(step.region)].sliced);
      }
      for (const ValueId id : node.outputs) region_of[static_cast<std::size_t>(id)] = step.region;
    }
  }
}

// Heavy rows go eight at a time; four where eight would not stay in the last cache.
TEST(Plan, LargeRowsMakeSmallerSlices) {
  toy::register_once();
  const auto slice_rows = [](std::int64_t columns) {
    Graph graph;
    const ValueId x = graph.input("x", {Shape{32, columns}});
    const ValueId y = graph.emit1("toy_scale", {graph.emit1("toy_scale", {x})});
    graph.place(graph.emit1("toy_total", {y}), {Store::output, 0});
    return plan_graph(std::move(graph), VariableStore{}, 2).plan.slice_rows;
  };
  EXPECT_EQ(slice_rows(100'000), 8);
  EXPECT_EQ(slice_rows(1'000'000), 4);
}

TEST(Plan, PrintsEveryStepAndTheMemoryItTakes) {
  const VariableStore none;
  const Plan plan = plan_graph(random_graph(3), none, 2).plan;
  const std::string text = plan.to_text();
  for (const char* part : {"toy_scale", "gather", "shared arena", "lower bound", "in all"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
  }
  const auto json = nlohmann::json::parse(plan.to_json());
  EXPECT_EQ(json["steps"].size(), plan.nodes.size());
  EXPECT_EQ(json["memory"]["total"], plan.total_bytes());
}

TEST(NullBackend, RecordsWhatARunWouldDo) {
  VariableStore none;
  ThreadPool pool(1);
  const auto executable = compile(random_graph(3), none, pool, {.device = "null"});
  EXPECT_THROW(executable->run({}), UsageError);  // the input was not given
  executable->set_input(0, nullptr, nullptr);
  executable->run({});
  EXPECT_EQ(dynamic_cast<NullExecutable&>(*executable).record().size(), executable->plan().nodes.size());
  EXPECT_THROW(static_cast<void>(executable->output(0)), DeviceError);
  EXPECT_THROW(executable->add_results({}), DeviceError);
  EXPECT_THROW(compile(random_graph(3), none, pool, {.device = "tpu"}), DeviceError);
}

}  // namespace
}  // namespace gpunn
