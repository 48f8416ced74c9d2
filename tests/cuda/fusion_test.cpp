// What the passes make only for CUDA, against the ops that it stands for: the same bits from fewer launches.

#include <gtest/gtest.h>

#include <bit>
#include <gpunn/gpunn.hpp>
#include <set>

#include "src/cuda/backend.hpp"
#include "src/graph/compile.hpp"
#include "src/ops/accuracy.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/dense.hpp"
#include "src/ops/pool2d.hpp"
#include "src/ops/recurrent.hpp"
#include "src/ops/registry.hpp"
#include "src/ops/reshape.hpp"
#include "tests/cuda/devices.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kBatch = 9, kClasses = 5;

std::vector<float> uniform(std::int64_t n, std::uint32_t stream, float low, float high) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = low + (high - low) * uniform01({.seed = 3, .stream = stream}, i);
  return values;
}

// One graph compiled with and without the passes after gradients(); inputs are f32 unless `labels` are given.
class Fusion : public ::testing::Test {
 protected:
  struct Run {
    std::vector<std::vector<float>> outputs;
    std::multiset<std::string> ops;
    int launches = 0;
  };

  void SetUp() override { register_devices(); }

  Run run(const Graph& graph, bool fuse, const std::vector<const void*>& inputs) {
    VariableStore variables;
    variables.allocate(true, 0);
    ThreadPool pool(1);
    const auto executable = compile(graph, variables, pool, {.device = "sim", .fuse = fuse});
    for (std::size_t i = 0; i < inputs.size(); ++i)
      executable->set_input(static_cast<int>(i), inputs[i], nullptr);
    executable->run({});
    Run made;
    for (const PlannedNode& node : executable->plan().nodes) {
      made.ops.insert(node.op);
      made.launches += node.launches;
    }
    for (const Value& value : graph.values()) {
      if (value.place.store != Store::output) continue;
      const auto* from = static_cast<const float*>(executable->output(static_cast<int>(value.place.offset)));
      made.outputs.emplace_back(from, from + value.spec.shape.elements());
    }
    return made;
  }

  // Returns the fused run.
  Run compare(const Graph& graph, const std::vector<const void*>& inputs, int fewer_launches) {
    const Run plain = run(graph, false, inputs), fused = run(graph, true, inputs);
    EXPECT_EQ(plain.launches - fused.launches, fewer_launches);
    EXPECT_FALSE(plain.outputs.empty());
    for (std::size_t i = 0; i < plain.outputs.size(); ++i) {
      const auto &a = plain.outputs[i], &b = fused.outputs[i];
      EXPECT_TRUE(std::any_of(a.begin(), a.end(), [](float v) { return v != 0; })) << "output " << i;
      for (std::size_t k = 0; k < a.size(); ++k) {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(a[k]), std::bit_cast<std::uint32_t>(b[k]))
            << "output " << i << ", element " << k << ": " << a[k] << " and " << b[k];
      }
    }
    return fused;
  }

  static void keep(Graph& graph, const ValueIds& values) {
    for (std::size_t i = 0; i < values.size(); ++i) graph.place(values[i], {Store::output, i});
  }
};

struct LossCase {
  std::string op;
  bool sparse = false, weighted = false;
  std::optional<ops::Accuracy> accuracy;
  bool fuses_accuracy = true;
};

TEST_F(Fusion, LossGradientAndAccuracyComeFromOnePass) {
  using enum ops::Accuracy;
  const LossCase cases[] = {
      {"softmax_cross_entropy", true, false, sparse_categorical},
      {"softmax_cross_entropy", false, true, categorical, false},  // accuracy unweighted
      {"cross_entropy", true, false, sparse_categorical},
      {"cross_entropy", false, false, binary, false},  // another kind of accuracy
      {"sigmoid_cross_entropy", false, false, binary},
      {"binary_cross_entropy", false, true, {}},
      {"mean_squared_error", false, false, categorical, false}};
  const auto logits = uniform(kBatch * kClasses, 1, -3, 3),
             chances = uniform(kBatch * kClasses, 2, 0.05f, 0.95f);
  const auto weights = uniform(kBatch, 4, 0.5f, 2);
  auto dense = uniform(kBatch * kClasses, 3, 0, 1);
  for (float& label : dense) label = label > 0.7f ? 1.0f : 0.0f;
  std::vector<std::int32_t> sparse;
  for (std::int32_t i = 0; i < kBatch; ++i) sparse.push_back(i * 3 % kClasses);

  for (const LossCase& c : cases) {
    SCOPED_TRACE(c.op);
    const bool from_logits = c.op == "softmax_cross_entropy" || c.op == "sigmoid_cross_entropy";
    Graph graph;
    const ValueId x = graph.input("x", {Shape{kBatch, kClasses}});
    const ValueId y = c.sparse ? graph.input("y", {Shape{kBatch}, Dtype::i32})
                               : graph.input("y", {Shape{kBatch, kClasses}});
    const ValueId w = c.weighted ? graph.input("w", {Shape{kBatch}}) : kNoValue;
    const ValueIds made = graph.emit(c.op, {x, y, w});
    ValueIds kept = made;
    if (c.accuracy) {
      const ValueId predictions = from_logits ? made[1] : x;
      kept.push_back(graph.emit1("accuracy", {predictions, y, kNoValue}, ops::AccuracyAttrs{*c.accuracy}));
    }
    kept.push_back(gradients(graph, {made[0]}, {x})[0]);
    keep(graph, kept);
    std::vector<const void*> inputs{from_logits ? logits.data() : chances.data(),
                                    c.sparse ? static_cast<const void*>(sparse.data()) : dense.data()};
    if (c.weighted) inputs.push_back(weights.data());
    const Run fused = compare(graph, inputs, c.accuracy && c.fuses_accuracy ? 2 : 1);
    EXPECT_EQ(fused.ops.count(c.op + "_with_gradient"), 1);
  }
}

// x -> activation -> max pool, gradient with respect to x; windows that overlap too.
TEST_F(Fusion, SlopesAreTakenAtThePoolsOutput) {
  const Shape image{kBatch, 6, 5, 3};
  const auto values = uniform(image.elements(), 5, -1, 1);
  for (const auto kind : {ops::Activation::relu, ops::Activation::sigmoid, ops::Activation::tanh}) {
    for (const std::int64_t stride : {2, 1}) {
      Graph graph;
      const ValueId x = graph.input("x", {image});
      const ValueId h = graph.emit1("activation", {x}, ops::ActivationAttrs{kind});
      const ValueId p = graph.emit("max_pool2d", {h}, ops::Pool2dAttrs{.strides = {stride, stride}})[0];
      const ValueId flat = graph.emit1(
          "reshape", {p}, ops::ReshapeAttrs{Shape{graph.spec(p).shape.without_front().elements()}});
      const ValueId zeros = graph.input("y", graph.spec(flat));
      const ValueId loss = graph.emit1("mean_squared_error", {flat, zeros, kNoValue});
      keep(graph, {loss, gradients(graph, {loss}, {x})[0]});
      const std::vector<float> target(static_cast<std::size_t>(graph.spec(flat).shape.elements()));
      const Run fused = compare(graph, {values.data(), target.data()}, 2);
      EXPECT_EQ(fused.ops.count("max_pool2d_backward_slope"), 1);
    }
  }
}

TEST_F(Fusion, ASecondReaderOfTheMapKeepsTheSlopeApart) {
  const Shape image{kBatch, 4, 4, 3};
  const auto values = uniform(image.elements(), 6, -1, 1);
  Graph graph;
  const ValueId x = graph.input("x", {image});
  const ValueId h = graph.emit1("activation", {x}, ops::ActivationAttrs{ops::Activation::tanh});
  const ValueId p = graph.emit("max_pool2d", {h}, ops::Pool2dAttrs{})[0];
  const auto flat = [&](ValueId v) {
    return graph.emit1("reshape", {v},
                       ops::ReshapeAttrs{Shape{graph.spec(v).shape.without_front().elements()}});
  };
  const ValueId a = flat(p), b = flat(h);
  const ValueId ya = graph.input("ya", graph.spec(a)), yb = graph.input("yb", graph.spec(b));
  const ValueIds losses{graph.emit1("mean_squared_error", {a, ya, kNoValue}),
                        graph.emit1("mean_squared_error", {b, yb, kNoValue})};
  keep(graph, {losses[0], losses[1], gradients(graph, losses, {x})[0]});
  const auto target = uniform(image.elements(), 7, -1, 1);
  // Two losses with their gradients; the sum of both shares and the slope are one chain.
  const Run fused = compare(graph, {values.data(), target.data(), target.data()}, 3);
  EXPECT_EQ(fused.ops.count("chain"), 1);
  EXPECT_EQ(fused.ops.count("max_pool2d_backward_slope"), 0);
}

struct Head {  // x -> tanh -> dense -> loss
  std::string loss;
  std::int64_t batch, in, out;
  bool bias = true, weighted = false, second_reader = false;
};

// The last dense layer goes into the loss, both of its gradients into one product.
TEST_F(Fusion, TheLastLayersProductsShareLaunches) {
  const std::string mse = "mean_squared_error", sigmoid = "sigmoid_cross_entropy";
  struct Case {
    Head head;
    int fewer;
    bool product, pair;
  };
  for (const auto& [h, fewer, product, pair] :
       {Case{{sigmoid, 9, 4, 1}, 4, true, true}, Case{{mse, 9, 128, 3, false, true}, 4, true, true},
        Case{{sigmoid, 256, 4, 1}, 4, true, true}, Case{{sigmoid, 257, 4, 1}, 3, false, true},
        Case{{mse, 9, 129, 3}, 3, false, true}, Case{{mse, 9, 4, 3, true, false, true}, 3, false, true},
        Case{{mse, 600, 4, 3}, 2, false, false}}) {
    SCOPED_TRACE(h.loss + " " + std::to_string(h.batch) + " " + std::to_string(h.in));
    Graph graph;
    const ValueId x = graph.input("x", {Shape{h.batch, h.in}}), y = graph.input("y", {Shape{h.batch, h.out}}),
                  w = graph.input("w", {Shape{h.in, h.out}}, false),
                  b = graph.input("b", {Shape{h.out}}, false);
    const ValueId by = h.weighted ? graph.input("by", {Shape{h.batch}}) : kNoValue;
    const ValueId hidden = graph.emit1("activation", {x}, ops::ActivationAttrs{ops::Activation::tanh});
    const ValueId z = graph.emit1("dense", {hidden, w, h.bias ? b : kNoValue}, ops::DenseAttrs{});
    const ValueIds made = graph.emit(h.loss, {z, y, by});
    ValueIds wrt{x, w}, kept{made[0]};
    if (h.bias) wrt.push_back(b);
    for (const ValueId id : gradients(graph, {made[0]}, wrt)) kept.push_back(id);
    if (h.second_reader) kept.push_back(z);
    keep(graph, kept);
    const auto xs = uniform(h.batch * h.in, 1, -1, 1), ys = uniform(h.batch * h.out, 2, 0, 1),
               ws = uniform(h.in * h.out, 3, -1, 1), bs = uniform(h.out, 4, -1, 1),
               weights = uniform(h.batch, 5, 0.5f, 2);
    std::vector<const void*> inputs{xs.data(), ys.data(), ws.data(), bs.data()};
    if (h.weighted) inputs.push_back(weights.data());
    const Run fused = compare(graph, inputs, fewer);
    EXPECT_EQ(fused.ops.count("dense_" + h.loss + "_with_gradient"), product ? 1 : 0);
    EXPECT_EQ(fused.ops.count("dense_backward"), pair ? 1 : 0);
  }
}

// ids -> embedding -> recurrent with dropout of its input.
TEST_F(Fusion, RecurrentLayersLookUpAndDrawByThemselves) {
  constexpr std::int64_t kSteps = 6, kWidth = 5, kUnits = 7, kVocabulary = 11;
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < kBatch * kSteps; ++i) ids.push_back(i * i % kVocabulary);
  const auto target = uniform(kBatch * kUnits, 1, -1, 1), table = uniform(kVocabulary * kWidth, 2, -1, 1),
             kernel = uniform(kWidth * 3 * kUnits, 3, -1, 1),
             recurrent = uniform(kUnits * 3 * kUnits, 4, -1, 1);
  for (const bool reversed : {false, true}) {
    Graph graph;
    const ValueId x = graph.input("ids", {Shape{kBatch, kSteps}, Dtype::i32}),
                  y = graph.input("y", {Shape{kBatch, kUnits}}),
                  e = graph.input("table", {Shape{kVocabulary, kWidth}}, false);
    ValueIds in(ops::kRecurrentForwardInputs, kNoValue);
    in[ops::kRecurrentKernel] = graph.input("kernel", {Shape{kWidth, 3 * kUnits}}, false);
    in[ops::kRecurrentWeights] = graph.input("recurrent", {Shape{kUnits, 3 * kUnits}}, false);
    in[ops::kRecurrentX] = graph.emit1("embedding", {x, e});
    in[ops::kRecurrentInputDropout] = graph.emit1("dropout_mask", {in[ops::kRecurrentX]},
                                                  ops::DropoutMaskAttrs{{0.4f, 2}, Shape{1, kWidth}});
    const ValueIds made =
        graph.emit("recurrent", in, ops::RecurrentAttrs{.reversed = reversed, .keep = true});
    const ValueId loss = graph.emit1("mean_squared_error", {made[ops::kRecurrentOutH], y, kNoValue});
    ValueIds kept = gradients(graph, {loss}, {e, in[ops::kRecurrentKernel], in[ops::kRecurrentWeights]});
    kept.push_back(loss);
    keep(graph, kept);
    const Run fused =
        compare(graph, {ids.data(), target.data(), table.data(), kernel.data(), recurrent.data()}, 3);
    EXPECT_EQ(fused.ops.count("embedding") + fused.ops.count("dropout_mask"), 0);
  }
}

// Ops that only passes make must be computed where they are made.
TEST_F(Fusion, EveryFusedOpHasAnImplementation) {
  const auto& registry = ops::Registry::instance();
  int fused = 0;
  for (const std::string_view name : registry.names()) {
    if (!registry.is_fused(name)) continue;
    ++fused;
    EXPECT_NE(cuda::find_implementation(name), nullptr) << name;
  }
  EXPECT_GT(fused, 0);
}

}  // namespace
}  // namespace gpunn
