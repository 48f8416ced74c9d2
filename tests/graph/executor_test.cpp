// The scheduler, the memory plan and the executor together, on toy ops whose results can be told by hand.

#include <gtest/gtest.h>

#include <numeric>

#include "src/core/host_memory.hpp"
#include "src/graph/compile.hpp"
#include "toy_ops.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kColumns = 3;

class ExecutorTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    toy::register_once();
    variables.allocate(true, 0);
  }

  // x [rows, 3] = 0, 1, 2, ...
  std::vector<float> counting(std::int64_t rows) const {
    std::vector<float> x(static_cast<std::size_t>(rows * kColumns));
    std::iota(x.begin(), x.end(), 0.0f);
    return x;
  }

  // Where a sum of three columns may be read after a run.
  ValueId keep(Graph& graph, ValueId value, int number) {
    graph.place(value, {Store::output, static_cast<std::size_t>(number)});
    return value;
  }

  VariableStore variables;
  ThreadPool pool{GetParam()};
};

float column_sum(std::int64_t rows, std::int64_t column) {
  return static_cast<float>(kColumns * rows * (rows - 1) / 2 + column * rows);
}

TEST_P(ExecutorTest, SumsOverSlicesForEveryBatchSize) {
  for (const std::int64_t rows : {1, 2, 7, 8, 31, 32, 33, 257}) {
    Graph graph;
    const ValueId x = graph.input("x", {Shape{rows, kColumns}});
    const ValueId y = graph.emit1("toy_scale", {graph.emit1("toy_scale", {x})});
    keep(graph, graph.emit1("toy_total", {y}), 0);
    keep(graph, y, 1);
    const auto executable = compile(graph, variables, pool);
    const std::vector<float> data = counting(rows);
    executable->set_input(0, data.data(), nullptr);
    executable->run({});

    const auto* total = static_cast<const float*>(executable->output(0));
    const auto* scaled = static_cast<const float*>(executable->output(1));
    for (std::int64_t j = 0; j < kColumns; ++j)
      EXPECT_EQ(total[j], 4 * column_sum(rows, j)) << rows << " rows";
    for (std::size_t i = 0; i < data.size(); ++i) ASSERT_EQ(scaled[i], 4 * data[i]) << rows << " rows";
    EXPECT_LE(executable->plan().slices, rows);
  }
}

TEST_P(ExecutorTest, GathersRowsByIndexAndBackToDirect) {
  const std::int64_t rows = 33;
  Graph graph;
  const ValueId x = graph.input("x", {Shape{rows, kColumns}});
  keep(graph, graph.emit1("toy_scale", {x}), 0);
  keep(graph, graph.emit1("toy_total_large", {x}),
       1);  // reads the whole batch, so its gathered rows must outlive a region
  const auto executable = compile(graph, variables, pool);
  const std::vector<float> data = counting(100);
  std::vector<std::int64_t> index;
  for (std::int64_t i = 0; i < rows; ++i) index.push_back(99 - 2 * i);

  for (const bool indexed : {true, false, true}) {
    executable->set_input(0, data.data(), indexed ? index.data() : nullptr);
    executable->run({});
    const auto* y = static_cast<const float*>(executable->output(0));
    const auto* total = static_cast<const float*>(executable->output(1));
    float first_column = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = indexed ? index[static_cast<std::size_t>(i)] : i;
      first_column += data[static_cast<std::size_t>(row * kColumns)];
      for (std::int64_t j = 0; j < kColumns; ++j) {
        ASSERT_EQ(y[i * kColumns + j], 2 * data[static_cast<std::size_t>(row * kColumns + j)]);
      }
    }
    EXPECT_EQ(total[0], first_column);
  }
}

TEST_P(ExecutorTest, WholeBatchOpsSplitTheSlicedRegions) {
  const std::int64_t rows = 65;
  Graph graph;
  const ValueId x = graph.input("x", {Shape{rows, kColumns}});
  const ValueId centered = graph.emit1("toy_center", {graph.emit1("toy_scale", {x})});
  keep(graph, graph.emit1("toy_total", {graph.emit1("toy_scale", {centered})}), 0);
  const auto executable = compile(graph, variables, pool);
  const std::vector<float> data = counting(rows);
  executable->set_input(0, data.data(), nullptr);
  executable->run({});
  const auto* total = static_cast<const float*>(executable->output(0));
  for (std::int64_t j = 0; j < kColumns; ++j) EXPECT_NEAR(total[j], 0, 1e-2);
}

TEST_P(ExecutorTest, GradientsOfSharedValuesAccumulateInPlace) {
  const std::int64_t rows = 40;
  Graph graph;
  const ValueId x = graph.input("x", {Shape{rows, kColumns}});
  const ValueId a = graph.emit1("toy_scale", {x});
  // x is read three times: d/dx = 2 + 4 + 1.
  const ValueIds losses = {graph.emit1("toy_total", {a}),
                           graph.emit1("toy_total", {graph.emit1("toy_scale", {a})}),
                           graph.emit1("toy_total", {x})};
  const ValueIds dx = gradients(graph, losses, {x});
  ASSERT_NE(dx[0], kNoValue);
  keep(graph, dx[0], 0);
  const auto executable = compile(graph, variables, pool);
  const std::vector<float> data = counting(rows);
  executable->set_input(0, data.data(), nullptr);
  executable->run({});
  const auto* gradient = static_cast<const float*>(executable->output(0));
  for (std::size_t i = 0; i < data.size(); ++i) ASSERT_EQ(gradient[i], 7.0f);
}

TEST_P(ExecutorTest, AStepAllocatesNothing) {
  Graph graph;
  const ValueId x = graph.input("x", {Shape{64, kColumns}});
  keep(graph, graph.emit1("toy_total", {graph.emit1("toy_scale", {x})}), 0);
  const auto executable = compile(graph, variables, pool);
  const std::vector<float> data = counting(64);
  executable->set_input(0, data.data(), nullptr);
  const HostMemoryFault count(0);
  for (int step = 0; step < 10; ++step) executable->run({});
  EXPECT_EQ(count.requests(), 0);
}

TEST_P(ExecutorTest, LocalMemoryDoesNotGrowWithTheBatch) {
  const auto plan_of = [&](std::int64_t rows) {
    Graph graph;
    ValueId x = graph.input("x", {Shape{rows, kColumns}});
    for (int layer = 0; layer < 6; ++layer) x = graph.emit1("toy_scale", {x});
    keep(graph, graph.emit1("toy_total", {x}), 0);
    return plan_graph(graph, variables, pool.threads()).plan;
  };
  const Plan small = plan_of(1024), large = plan_of(4096);
  EXPECT_EQ(small.local_bytes, large.local_bytes);
  // A chain needs two values at a time.
  EXPECT_EQ(large.local_bytes, large.local_lower_bound);
}

INSTANTIATE_TEST_SUITE_P(Threads, ExecutorTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace gpunn
