// An op from outside the library as a layer: what it may be, and what is told where it cannot.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// y = gain * x * factor for each feature: x [batch, n], factor [n].
struct ScaleAttrs {
  float gain = 1;
};

Specs like_x(const OpCall& call) {
  expects(call.inputs.size() == 2, call, "takes x and a factor");
  static_cast<void>(call.attrs_as<ScaleAttrs>());
  const Shape& x = call.inputs[0].shape;
  expects(x.rank() == 2 && call.inputs[1].shape == Shape{x[1]}, call, "factor must be [n] for x [batch, n]");
  return {call.inputs[0]};
}

Specs like_factor(const OpCall& call) {
  return {Spec{Shape{call.inputs[0].shape[1]}}};
}

cpu::Implementation scale(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1];
  const float gain = call.attrs_as<ScaleAttrs>().gain;
  return {.name = "loop", .why = "test", .scratch = 0, .tasks = 0, .run = [n, gain](const cpu::Slice& s) {
            for (std::int64_t i = 0; i < s.rows * n; ++i) s.out(0)[i] = gain * s.in(0)[i] * s.in(1)[i % n];
          }};
}

// x, dy -> the sum over the batch of gain * x * dy.
cpu::Implementation scale_factor(const OpCall& call, const cpu::Target&) {
  const std::int64_t n = call.inputs[0].shape[1];
  const float gain = call.attrs_as<ScaleAttrs>().gain;
  return {.name = "loop", .why = "test", .scratch = 0, .tasks = 0, .run = [n, gain](const cpu::Slice& s) {
            for (std::int64_t j = 0; j < n; ++j) {
              float sum = 0;
              for (std::int64_t i = j; i < s.rows * n; i += n) sum += gain * s.in(0)[i] * s.in(1)[i];
              s.out(0)[j] = sum;
            }
          }};
}

ValueIds scale_gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("test_scale", {dy[0], node.inputs[1]}, node.attrs),
          graph.emit1("test_scale_factor", {node.inputs[0], dy[0]}, node.attrs)};
}

Specs one_number(const OpCall&) {
  return {Spec{Shape{7}}};
}

void register_once() {
  static const bool done = [] {
    register_op({.name = "test_scale", .outputs = {Rows::each}, .infer = like_x, .gradient = scale_gradient});
    register_op({.name = "test_scale_factor", .outputs = {Rows::sum}, .infer = like_factor});
    register_op({.name = "test_no_batch", .outputs = {Rows::each}, .infer = one_number});
    register_op({.name = "test_unimplemented", .outputs = {Rows::each}, .infer = [](const OpCall& call) {
                   return Specs{call.inputs[0]};
                 }});
    cpu::register_op("test_scale", scale);
    cpu::register_op("test_scale_factor", scale_factor);
    return true;
  }();
  static_cast<void>(done);
}

Sequential scaled(CustomOptions options) {
  register_once();
  return Sequential({Input({2}), Custom("test_scale", std::move(options))}, {.device = "cpu"});
}

CustomOptions scaling(float gain) {
  return {.attrs = ScaleAttrs{gain}, .variables = {{"factor", {2}, ones}}, .name = "scale"};
}

TEST(Custom, LearnsThroughAnOpOfTheProgram) {
  Sequential model = scaled(scaling(2));
  EXPECT_EQ(model.weight_names(), std::vector<std::string>{"scale/factor"});
  EXPECT_THAT(model.summary(), AllOf(HasSubstr("scale (Custom)"), HasSubstr("(None, 2)")));
  const Tensor x = Tensor::of({2, 2}, std::vector<float>{1, 2, -3, 4});
  EXPECT_EQ(elements(model.predict(x)), (std::vector<float>{2, 4, -6, 8}));
  const Tensor y = Tensor::of({2, 2}, std::vector<float>{3, -2, -9, -4});  // factors 1.5 and -0.5
  model.compile({.optimizer = SGD({.learning_rate = 0.02}), .loss = MeanSquaredError()});
  model.fit(x, y, quietly({.epochs = 300}));
  EXPECT_NEAR(model.weight("scale/factor").data<float>()[0], 1.5, 1e-3);
  EXPECT_NEAR(model.weight("scale/factor").data<float>()[1], -0.5, 1e-3);
  EXPECT_THAT(model.plan().text, HasSubstr("test_scale_factor"));
}

TEST(Custom, IsSavedAsWeightsOnly) {
  const TempDir dir;
  Sequential model = scaled(scaling(2)), other = scaled(scaling(2));
  EXPECT_THAT(message_of<UsageError>([&] { model.save(dir / "model.safetensors"); }),
              AllOf(HasSubstr("custom_test.cpp:"), HasSubstr("test_scale"), HasSubstr("save_weights()")));
  EXPECT_TRUE(dir.names().empty());
  model.weight("scale/factor").data<float>()[0] = 5;
  model.save_weights(dir / "weights.safetensors");
  other.load_weights(dir / "weights.safetensors");
  EXPECT_TRUE(same_bits(weights(model), weights(other)));
}

TEST(Custom, RefusesWhatNoLayerCanBe) {
  register_once();
  EXPECT_THAT(message_of<UsageError>([] { Custom("test_scales"); }),
              AllOf(HasSubstr("custom_test.cpp:"), HasSubstr("Custom: there is no op 'test_scales'"),
                    HasSubstr("'test_scale'")));
  EXPECT_THAT(message_of<UsageError>([] { Custom("test_scale_factor"); }), HasSubstr("sum over the batch"));
  EXPECT_THAT(message_of<UsageError>([] {
                Custom("test_no_batch", {.variables = {{"w", {1}}}});
              }),
              HasSubstr("has no gradient"));
  EXPECT_THAT(message_of<UsageError>([] { Custom("adam"); }), HasSubstr("op 'adam' has no output"));
  EXPECT_THAT(message_of<ShapeError>([] { Custom("test_no_batch")(Input({2})); }),
              AllOf(HasSubstr("[7]"), HasSubstr("not the batch")));
  EXPECT_THAT(message_of<ShapeError>([] { Custom("test_scale", scaling(1))(Input({3})); }),
              AllOf(HasSubstr("custom_test.cpp:"), HasSubstr("layer 'scale' (Custom) on [3]"),
                    HasSubstr("factor must be [n]")));
  CustomOptions wrong = scaling(1);
  wrong.attrs = 1.0;
  EXPECT_THAT(message_of<UsageError>([&] { Custom("test_scale", wrong)(Input({2})); }),
              HasSubstr("test_scale: the call has attributes of another type"));
  // A device without an implementation of it says so before anything runs.
  Sequential model({Input({2}), Custom("test_unimplemented")}, {.device = "cpu"});
  EXPECT_THAT(message_of<UsageError>([&] {
                model.predict(Tensor(Shape{1, 2}));
              }),
              HasSubstr("'test_unimplemented' has no implementation on the cpu"));
}

}  // namespace
}  // namespace gpunn
