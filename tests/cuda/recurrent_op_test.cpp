// Recurrent ops alone on the software device, at sizes around what its kernels are cut into, against the
// reference in double; with gradients that overwrite and that are added onto others.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <gpunn/gpunn.hpp>
#include <map>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "src/graph/compile.hpp"
#include "src/ops/recurrent.hpp"
#include "tests/cuda/on_sim.hpp"
#include "tests/reference/interpreter.hpp"

namespace gpunn {
namespace {

using ops::RecurrentAttrs;
using ops::RecurrentCell;

struct Case {
  RecurrentCell cell;
  std::int64_t batch, steps, input, units;
  bool sequence = true, reversed = false, mask = false, initial = false, bias = true;
  std::int64_t input_masks = 0, state_masks = 0;
  ops::Activation activation = ops::Activation::tanh, gate = ops::Activation::sigmoid;
  int calls = 1;  // of the layer: from the second on gradients are added
};

class RecurrentOp : public OnSim {
 protected:
  // By value: the spec may be one of the graph's own, which moves when it grows.
  ValueId input(Spec spec, double low, double high, bool batched = true) {
    const auto stream = static_cast<std::uint32_t>(inputs_.size());
    const ValueId id = graph_.input("input" + std::to_string(stream), spec, batched);
    std::vector<double> values(static_cast<std::size_t>(spec.shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double u = static_cast<double>(uniform01({.seed = 9, .stream = stream}, i));
      values[i] = static_cast<double>(static_cast<float>(low + (high - low) * u));
      if (spec.dtype == Dtype::u8) values[i] = u < 0.7 ? 1 : 0;
    }
    inputs_.emplace_back(id, std::move(values));
    return id;
  }

  // Emits the layer and a loss that reaches all it makes; returns what is differentiated.
  ValueIds build(const Case& c) {
    const std::int64_t gates = ops::recurrent_gates(c.cell), width = gates * c.units;
    const double scale = 1 / std::sqrt(static_cast<double>(c.units));
    ValueIds in(ops::kRecurrentForwardInputs, kNoValue), wrt;
    const ValueId x = input({Shape{c.batch, c.steps, c.input}}, -1, 1);
    wrt.push_back(x);
    const auto weight = [&](std::size_t k, const Shape& shape) {
      wrt.push_back(in[k] = input({shape}, -scale, scale, false));
    };
    weight(ops::kRecurrentKernel, Shape{c.input, width});
    weight(ops::kRecurrentWeights, Shape{c.units, width});
    if (c.bias) weight(ops::kRecurrentBias, c.cell == RecurrentCell::gru ? Shape{2, width} : Shape{width});
    if (c.mask) in[ops::kRecurrentMask] = input({Shape{c.batch, c.steps}, Dtype::u8}, 0, 1);
    if (c.initial) {
      wrt.push_back(in[ops::kRecurrentH0] = input({Shape{c.batch, c.units}}, -1, 1));
      if (c.cell == RecurrentCell::lstm)
        wrt.push_back(in[ops::kRecurrentC0] = input({Shape{c.batch, c.units}}, -1, 1));
    }
    if (c.input_masks > 0)
      in[ops::kRecurrentInputDropout] = input({Shape{c.batch, c.input_masks, c.input}}, 0, 2);
    if (c.state_masks > 0)
      in[ops::kRecurrentStateDropout] = input({Shape{c.batch, c.state_masks, c.units}}, 0, 2);
    in[ops::kRecurrentX] = graph_.emit1("reverse", {x});  // an input of the graph gets no gradient
    const RecurrentAttrs attrs{.cell = c.cell,
                               .activation = c.activation,
                               .recurrent_activation = c.gate,
                               .sequence = c.sequence,
                               .reversed = c.reversed,
                               .keep = true};
    for (int call = 0; call < c.calls; ++call) {
      const ValueIds made = graph_.emit("recurrent", in, attrs);
      const auto lose = [&](ValueId y) {
        losses_.push_back(
            graph_.emit("mean_squared_error", {y, input(graph_.spec(y), -2, 2), kNoValue}).at(0));
      };
      lose(made[ops::kRecurrentOutH]);
      if (c.sequence) lose(made[ops::kRecurrentOutSequence]);
      if (c.cell == RecurrentCell::lstm) lose(made[ops::kRecurrentOutC]);
      kept_.insert(kept_.end(), {made[ops::kRecurrentOutH], c.sequence ? made[0] : kNoValue});
    }
    return wrt;
  }

  std::vector<std::vector<double>> on_device(const std::string& device) {
    VariableStore variables;
    variables.allocate(true, 0);
    ThreadPool pool(1);
    const auto executable = compile(graph_, variables, pool, {.device = device});
    std::vector<std::vector<float>> floats(inputs_.size());
    std::vector<std::vector<std::uint8_t>> bytes(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const auto& [id, values] = inputs_[i];
      floats[i].assign(values.begin(), values.end());
      bytes[i].assign(values.begin(), values.end());
      const bool is_mask = graph_.spec(id).dtype == Dtype::u8;
      executable->set_input(static_cast<int>(i),
                            is_mask ? static_cast<const void*>(bytes[i].data()) : floats[i].data(), nullptr);
    }
    executable->run({});
    for (const PlannedNode& node : executable->plan().nodes) {
      if (node.op == "recurrent") path_ = paths_[device] = node.implementation, why_[device] = node.why;
      if (node.op == "recurrent_backward") {
        EXPECT_EQ(node.implementation, path_);
      }
    }
    std::vector<std::vector<double>> outputs;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto* from = static_cast<const float*>(executable->output(static_cast<int>(i)));
      outputs.emplace_back(from, from + graph_.spec(outputs_[i]).shape.elements());
    }
    return outputs;
  }

  void compare(const Case& c) {
    SCOPED_TRACE(std::string(to_string(c.cell)) + ", batch " + std::to_string(c.batch) + ", steps " +
                 std::to_string(c.steps) + ", input " + std::to_string(c.input) + ", units " +
                 std::to_string(c.units));
    graph_ = Graph(), inputs_.clear(), outputs_.clear(), losses_.clear(), kept_.clear();
    const ValueIds wrt = build(c);
    for (const ValueId id : kept_) {
      if (id != kNoValue) outputs_.push_back(id);
    }
    for (const ValueId id : gradients(graph_, losses_, wrt)) outputs_.push_back(id);
    reference::Interpreter<double> interpreter(graph_);
    for (const auto& [id, values] : inputs_) interpreter.set(id, std::span<const double>(values));
    interpreter.run();
    for (std::size_t i = 0; i < outputs_.size(); ++i) graph_.place(outputs_[i], {Store::output, i});
    for (const char* device : {"sim", "sim-own"}) {
      SCOPED_TRACE(device);
      const auto got = on_device(device);
      const double terms = static_cast<double>((c.input + c.units + 8) * c.steps * c.batch);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const auto want = interpreter[outputs_[i]];
        double error = 0, size = 0;
        for (std::size_t k = 0; k < got[i].size(); ++k)
          error += (got[i][k] - want[k]) * (got[i][k] - want[k]), size += want[k] * want[k];
        EXPECT_GT(size, 0) << "output " << i << ": a comparison of zeros proves nothing";
        EXPECT_LE(std::sqrt(error), 4 * std::sqrt(terms) * 0x1p-24 * std::sqrt(size)) << "output " << i;
      }
    }
  }

  Graph graph_;
  std::vector<std::pair<ValueId, std::vector<double>>> inputs_;
  ValueIds outputs_, losses_, kept_;
  std::string path_;  // on the last device
  std::map<std::string, std::string> paths_, why_;
};

constexpr RecurrentCell kCells[] = {RecurrentCell::simple, RecurrentCell::gru,
                                    RecurrentCell::gru_reset_before, RecurrentCell::lstm};

TEST_F(RecurrentOp, UnitsAroundTiles) {
  for (const RecurrentCell cell : kCells) {
    for (const std::int64_t units : {1, 16, 17, 33, 64, 128, 129}) {
      compare({.cell = cell, .batch = 2, .steps = 2, .input = 3, .units = units, .initial = true});
      const bool whole = cell != RecurrentCell::gru_reset_before && units <= 128;
      EXPECT_EQ(path_, whole ? "whole sequence" : "per step");
    }
  }
}

TEST_F(RecurrentOp, FeaturesAroundWhatFitsInside) {
  for (const RecurrentCell cell : {RecurrentCell::gru, RecurrentCell::lstm}) {
    for (const std::int64_t input : {1, 32, 33, 64, 65}) {
      compare({.cell = cell, .batch = 3, .steps = 3, .input = input, .units = 5, .input_masks = 1});
    }
  }
  compare({.cell = RecurrentCell::simple, .batch = 257, .steps = 2, .input = 2, .units = 3});
}

TEST_F(RecurrentOp, Options) {
  for (const RecurrentCell cell : kCells) {
    const std::int64_t gates = ops::recurrent_gates(cell);
    const Case plain{.cell = cell, .batch = 3, .steps = 4, .input = 3, .units = 5};
    for (const bool sequence : {false, true}) {
      Case c = plain;
      c.sequence = sequence, c.mask = true, c.initial = true;
      compare(c);
      c.reversed = true, c.bias = false, c.input_masks = 1;
      compare(c);
    }
    for (const std::int64_t masks : {std::int64_t{1}, gates}) {
      Case c = plain;
      c.mask = true, c.input_masks = c.state_masks = masks, c.reversed = masks == 1;
      compare(c);
    }
    Case c = plain;
    c.activation = ops::Activation::relu, c.gate = ops::Activation::tanh, c.sequence = false;
    compare(c);
    c.activation = ops::Activation::gelu, c.gate = ops::Activation::sigmoid;
    compare(c);
  }
}

TEST_F(RecurrentOp, GradientsAreAddedToThoseOfAnotherCall) {
  for (const RecurrentCell cell : kCells) {
    const std::int64_t gates = ops::recurrent_gates(cell);
    compare({.cell = cell, .batch = 2, .steps = 3, .input = 4, .units = 6, .initial = true, .calls = 2});
    compare({.cell = cell, .batch = 2, .steps = 3, .input = 4, .units = 70, .initial = true, .calls = 2});
    compare({.cell = cell,
             .batch = 2,
             .steps = 3,
             .input = 4,
             .units = 6,
             .initial = true,
             .input_masks = gates,
             .state_masks = gates,
             .calls = 2});
  }
}

// Long sums of the weights' gradients are cut into slices.
TEST_F(RecurrentOp, ManyPlaces) {
  compare({.cell = RecurrentCell::gru, .batch = 8, .steps = 70, .input = 9, .units = 4, .input_masks = 1});
}

#if GPUNN_HAVE_CUDNN

// cuBLAS is told to be reproducible, as NVIDIA says that cuDNN's RNN needs it.
class LibraryRecurrentOp : public RecurrentOp {
 protected:
  void SetUp() override {
    RecurrentOp::SetUp();
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2", 1);
  }
  void TearDown() override {
    unsetenv("CUBLAS_WORKSPACE_CONFIG");
    simt::set_cudnn_rnn_workspace(0);
    RecurrentOp::TearDown();
  }
  void expect_library(const Case& c) {
    compare(c);
    EXPECT_EQ(paths_["sim"], "cudnn rnn") << why_["sim"];
    EXPECT_EQ(paths_["sim-own"], "per step");
  }
  void expect_steps(const Case& c, const std::string& reason) {
    compare(c);
    EXPECT_EQ(paths_["sim"], "per step");
    EXPECT_NE(why_["sim"].find(reason), std::string::npos) << why_["sim"];
  }
};

constexpr RecurrentCell kLibraryCells[] = {RecurrentCell::simple, RecurrentCell::gru, RecurrentCell::lstm};

TEST_F(LibraryRecurrentOp, UnitsStepsAndRows) {
  for (const RecurrentCell cell : kLibraryCells) {
    expect_library({.cell = cell, .batch = 1, .steps = 1, .input = 3, .units = 129, .initial = true});
    expect_library({.cell = cell, .batch = 3, .steps = 2, .input = 33, .units = 160});
    expect_library({.cell = cell, .batch = 3, .steps = 7, .input = 1, .units = 129, .initial = true});
    expect_library({.cell = cell, .batch = 1, .steps = 2, .input = 5, .units = 256, .initial = true});
  }
  EXPECT_NE(why_["sim"].find("cuDNN's RNN, reproducible by CUBLAS_WORKSPACE_CONFIG=:4096:2"),
            std::string::npos)
      << why_["sim"];
}

TEST_F(LibraryRecurrentOp, Options) {
  for (const RecurrentCell cell : kLibraryCells) {
    for (const bool sequence : {false, true}) {
      for (const bool reversed : {false, true}) {
        Case c{.cell = cell, .batch = 2, .steps = 3, .input = 4, .units = 130};
        c.sequence = sequence, c.reversed = reversed;
        expect_library(c);
        c.bias = false, c.initial = true, c.input_masks = 1;
        expect_library(c);
      }
    }
  }
  expect_library({.cell = RecurrentCell::simple,
                  .batch = 2,
                  .steps = 3,
                  .input = 4,
                  .units = 130,
                  .activation = ops::Activation::relu});
}

TEST_F(LibraryRecurrentOp, GradientsAreAddedToThoseOfAnotherCall) {
  for (const RecurrentCell cell : kLibraryCells) {
    for (const bool reversed : {false, true}) {
      for (const std::int64_t masks : {0, 1}) {
        Case c{.cell = cell, .batch = 2, .steps = 3, .input = 4, .units = 131, .initial = true};
        c.reversed = reversed, c.input_masks = masks, c.calls = 2;
        expect_library(c);
      }
    }
  }
}

TEST_F(LibraryRecurrentOp, WhatCudnnDoesNotComputeGoesStepByStep) {
  const Case plain{
      .cell = RecurrentCell::gru, .batch = 2, .steps = 2, .input = 3, .units = 129, .initial = true};
  Case c = plain;
  c.mask = true;
  expect_steps(c, "takes no mask");
  c = plain, c.state_masks = 1;
  expect_steps(c, "no dropout of the state");
  c = plain, c.input_masks = 3;
  expect_steps(c, "no dropout mask for each gate");
  c = plain, c.activation = ops::Activation::relu;
  expect_steps(c, "no such cell");
  c = plain, c.cell = RecurrentCell::gru_reset_before;
  expect_steps(c, "no such cell");
  expect_library(plain);
}

TEST_F(LibraryRecurrentOp, WithoutReproducibleCublasItIsNotTaken) {
  const Case plain{.cell = RecurrentCell::gru, .batch = 2, .steps = 2, .input = 3, .units = 129};
  for (const char* set : {"", ":4096:8", ":16:8:4096:2"}) {
    setenv("CUBLAS_WORKSPACE_CONFIG", set, 1);
    expect_steps(plain, "not reproducible here: set CUBLAS_WORKSPACE_CONFIG to :4096:2 or :16:8");
  }
  setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", 1);
  expect_library(plain);
}

TEST_F(LibraryRecurrentOp, WhatNeedsMoreThanWasPlannedGoesStepByStep) {
  const Case plain{.cell = RecurrentCell::lstm, .batch = 2, .steps = 2, .input = 3, .units = 133};
  expect_library(plain);
  simt::set_cudnn_rnn_workspace(1 << 20);  // the plan remembers what it was told before
  expect_steps(plain, "needs more memory than was planned");
}

TEST_F(LibraryRecurrentOp, AReserveThatIsReadTwiceIsNotUsedUp) {
  const Case plain{.cell = RecurrentCell::gru, .batch = 2, .steps = 2, .input = 3, .units = 129};
  const ValueIds wrt = build(plain);
  for (int twice = 0; twice < 2; ++twice) {
    for (const ValueId id : gradients(graph_, losses_, wrt)) outputs_.push_back(id);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) graph_.place(outputs_[i], {Store::output, i});
  const auto got = on_device("sim");
  EXPECT_EQ(path_, "per step");
  EXPECT_NE(why_["sim"].find("more than one reader"), std::string::npos) << why_["sim"];
  for (std::size_t i = 0; i < wrt.size(); ++i) EXPECT_EQ(got[i], got[i + wrt.size()]) << i;
}

#endif

}  // namespace
}  // namespace gpunn
