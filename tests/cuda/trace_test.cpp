// The trace and the profiler's window on the software device.

#include "gpunn/trace.hpp"

#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>

#include "simt/simt.hpp"
#include "src/core/trace.hpp"
#include "src/cuda/ranges.hpp"
#include "tests/cuda/devices.hpp"
#include "tests/support/files.hpp"
#include "tests/support/trace.hpp"

namespace gpunn {
namespace {

struct Fitted {
  std::vector<float> weights;
  std::uint64_t graphs = 0, starts = 0, stops = 0;
};

Fitted fit(int steps_per_execution) {
  Sequential model({Input({6}), Dense(32, {.activation = relu, .name = "first"}), Dense(1, {.name = "last"})},
                   {.device = "sim", .threads = 1});
  model.compile(
      {.optimizer = Adam(), .loss = MeanSquaredError(), .steps_per_execution = steps_per_execution});
  Tensor x(Shape{64, 6}), y(Shape{64, 1});
  for (std::size_t i = 0; i < x.data<float>().size(); ++i)
    x.data<float>()[i] = uniform01({.seed = 2, .stream = 1}, i);
  for (std::size_t i = 0; i < 64; ++i) y.data<float>()[i] = static_cast<float>(i % 2);
  simt::clear_calls();
  model.fit(x, y, FitOptions{.epochs = 2, .batch_size = 8, .verbose = Verbose::silent});
  Fitted run;
  run.graphs = simt::calls("cudaGraphLaunch");
  run.starts = simt::calls("cudaProfilerStart"), run.stops = simt::calls("cudaProfilerStop");
  const Tensor kernel = model.weight("first/kernel").clone();
  const auto values = std::as_const(kernel).data<float>();
  run.weights.assign(values.begin(), values.end());
  return run;
}

class CudaTrace : public ::testing::Test {
 protected:
  void SetUp() override { register_devices(); }
  TempDir folder;
  std::filesystem::path file = folder.path() / "trace.json";
};

TEST_F(CudaTrace, NamesEveryLayerInItsPhase) {
  const Fitted plain = fit(1);
  Fitted traced;
  {
    const Trace trace({.file = file});
    traced = fit(1);
  }
  EXPECT_EQ(traced.weights, plain.weights);
  EXPECT_EQ(traced.graphs, 0u);  // layer by layer
  const testing::ReadTrace read(file);
  read.expect_nested({"step", "launch", "phase", "layer"});
  EXPECT_EQ(read.names("phase"), (std::set<std::string>{"forward", "backward", "update"}));
  for (const char* layer : {"first", "last", "last + loss"})
    EXPECT_EQ(read.names("layer").count(layer), 1u) << layer;
}

// Groups of steps are broken up where the window opens and go on behind it; the profiler is told once.
TEST_F(CudaTrace, TheWindowStartsAndStopsTheProfiler) {
  const Fitted plain = fit(4);
  EXPECT_EQ(plain.starts, 0u);
  Fitted profiled;
  {
    const Trace trace({.file = file, .first_step = 6, .last_step = 9});
    profiled = fit(4);
  }
  EXPECT_EQ(profiled.weights, plain.weights);
  EXPECT_EQ(profiled.starts, 1u);
  EXPECT_EQ(profiled.stops, 1u);
  EXPECT_GT(profiled.graphs, 0u);
  EXPECT_EQ(testing::ReadTrace(file).names("step"), (std::set<std::string>{"step 6", "step 7", "step 8"}));
}

std::uint64_t started_before, captures_at_stop;

// Steps that are held back when the window opens are started, and finished, outside of it.
TEST_F(CudaTrace, HeldStepsAreOutsideTheWindow) {
  trace::set_profiler([] { started_before = simt::calls("cudaGraphLaunch"); }, [] {});
  const Trace trace({.file = file, .first_step = 3, .last_step = 4});
  const Fitted run = fit(4);
  cuda::connect_profiler();
  // Step 0 is queued to warm up; 1 and 2 are a group cut short; 3 is watched; then groups of 4 in two epochs.
  EXPECT_EQ(started_before, 1u);
  EXPECT_GT(run.graphs, started_before);
}

// What a capture meets has run before, though the first steps were watched.
TEST_F(CudaTrace, AWatchedStepIsNoWarmUp) {
  trace::set_profiler([] {}, [] { captures_at_stop = simt::calls("cudaStreamBeginCapture"); });
  const Fitted plain = fit(1);
  Fitted profiled;
  {
    const Trace trace({.first_step = 0, .last_step = 2});
    profiled = fit(1);
  }
  cuda::connect_profiler();
  EXPECT_EQ(captures_at_stop, 0u);
  EXPECT_EQ(profiled.graphs, plain.graphs - 2) << "two steps watched and one to warm up, instead of one";
  EXPECT_EQ(profiled.weights, plain.weights);
}

}  // namespace
}  // namespace gpunn
