// Shapes, parameter counts and messages of layers. No kernel runs here: shapes come from the ops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpunn/gpunn.hpp"
#include "src/nn/layer.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using testing::HasSubstr;

Shape shape_after(const Layer& layer, const Shape& x) {
  return layer(Input(x)).shape();
}

std::int64_t parameters(const Layer& layer, const Shape& x) {
  std::int64_t n = 0;
  for (const auto& variable : layer.definition().variables({{x}})) n += variable.shape.elements();
  return n;
}

TEST(Layers, ShapesAreKeras) {
  EXPECT_EQ(shape_after(Dense(64), {10}), (Shape{64}));
  EXPECT_EQ(shape_after(Dense(5), {7, 3, 10}), (Shape{7, 3, 5}));  // over the last axis
  EXPECT_EQ(shape_after(Conv2D(32, 3), {28, 28, 1}), (Shape{26, 26, 32}));
  EXPECT_EQ(shape_after(Conv2D(32, {3, 5}), {28, 28, 1}), (Shape{26, 24, 32}));
  EXPECT_EQ(shape_after(Conv2D(4, 3, {.strides = 2, .padding = same}), {28, 27, 1}), (Shape{14, 14, 4}));
  EXPECT_EQ(shape_after(Conv2D(4, 3, {.padding = pad({1, 2})}), {8, 8, 3}), (Shape{8, 10, 4}));
  EXPECT_EQ(shape_after(Conv2D(4, 3, {.padding = pad(1, 0, 2, 0)}), {8, 8, 3}), (Shape{7, 8, 4}));
  EXPECT_EQ(shape_after(Conv2D(4, 3, {.dilation_rate = 2}), {9, 9, 2}), (Shape{5, 5, 4}));
  EXPECT_EQ(shape_after(MaxPooling2D(), {11, 11, 3}), (Shape{5, 5, 3}));
  EXPECT_EQ(shape_after(MaxPooling2D(3, {.strides = 1}), {11, 11, 3}), (Shape{9, 9, 3}));
  EXPECT_EQ(shape_after(AveragePooling2D({2, 3}, {.padding = same}), {11, 11, 3}), (Shape{6, 4, 3}));
  EXPECT_EQ(shape_after(GlobalMaxPooling2D(), {5, 6, 7}), (Shape{7}));
  EXPECT_EQ(shape_after(GlobalAveragePooling2D({.keepdims = true}), {5, 6, 7}), (Shape{1, 1, 7}));
  EXPECT_EQ(shape_after(Flatten(), {5, 5, 64}), (Shape{1600}));
  EXPECT_EQ(shape_after(Reshape({4, -1}), {2, 6}), (Shape{4, 3}));
  EXPECT_EQ(shape_after(Dropout(0.5), {3, 4}), (Shape{3, 4}));
  EXPECT_EQ(shape_after(BatchNormalization(), {3, 4}), (Shape{3, 4}));
  EXPECT_EQ(shape_after(Rescaling(1.0 / 255), {28, 28}), (Shape{28, 28}));
  EXPECT_EQ(shape_after(Activation(softmax), {10}), (Shape{10}));
}

TEST(Layers, SeveralInputs) {
  const Symbolic a = Input({4, 6}), b = Input({1, 6}), c = Input({4, 2});
  EXPECT_EQ(Add()({a, b}).shape(), (Shape{4, 6}));
  EXPECT_EQ(Multiply()({a, b, a}).shape(), (Shape{4, 6}));
  EXPECT_EQ(Concatenate()({a, c}).shape(), (Shape{4, 8}));
  EXPECT_EQ(Concatenate({.axis = 1})({a, b}).shape(), (Shape{5, 6}));
}

TEST(Layers, ParameterCountsAreKeras) {
  EXPECT_EQ(parameters(Dense(64), {10}), 704);
  EXPECT_EQ(parameters(Dense(64, {.use_bias = false}), {10}), 640);
  EXPECT_EQ(parameters(Conv2D(64, 3), {13, 13, 32}), 18496);
  EXPECT_EQ(parameters(Conv2D(64, 3, {.groups = 4}), {13, 13, 32}), 4672);
  EXPECT_EQ(parameters(BatchNormalization(), {13, 13, 32}), 128);
  EXPECT_EQ(parameters(BatchNormalization({.center = false, .scale = false}), {32}), 64);
}

TEST(Layers, DefaultsAreKeras) {
  EXPECT_EQ(DenseOptions{}.activation, linear);
  EXPECT_EQ(DenseOptions{}.kernel_initializer, glorot_uniform);
  EXPECT_EQ(DenseOptions{}.bias_initializer, zeros);
  EXPECT_EQ(Conv2DOptions{}.strides, Size2(1, 1));
  EXPECT_EQ(Conv2DOptions{}.padding, valid);
  EXPECT_EQ(BatchNormalizationOptions{}.momentum, 0.99);
  EXPECT_EQ(BatchNormalizationOptions{}.epsilon, 1e-3);
  const Optimizer adam = Adam(), adamw = AdamW(), sgd = SGD();
  EXPECT_EQ(adam.learning_rate, 0.001);
  EXPECT_EQ(adam.beta_1, 0.9);
  EXPECT_EQ(adam.beta_2, 0.999);
  EXPECT_EQ(adam.epsilon, 1e-7);
  EXPECT_EQ(adam.weight_decay, 0.0);
  EXPECT_EQ(adamw.weight_decay, 0.004);
  EXPECT_EQ(sgd.learning_rate, 0.01);
  EXPECT_EQ(sgd.momentum, 0.0);
  EXPECT_FALSE(SparseCategoricalCrossentropy().from_logits);
  EXPECT_EQ(FitOptions{}.batch_size, 32);
  EXPECT_TRUE(FitOptions{}.shuffle);
}

TEST(Layers, ShapeErrorsNameLayerShapesAndLine) {
  int line = 0;
  const std::string message = message_of<ShapeError>([&] {
    line = __LINE__ + 1;
    Conv2D(8, 5, {.name = "narrow"})(Input({4, 4, 1}));
  });
  EXPECT_THAT(message, HasSubstr("layers_test.cpp:" + std::to_string(line)));
  EXPECT_THAT(message, HasSubstr("'narrow' (Conv2D)"));
  EXPECT_THAT(message, HasSubstr("[4, 4, 1]"));

  EXPECT_THAT(message_of<ShapeError>([] { MaxPooling2D()(Input({10})); }), HasSubstr("MaxPooling2D on [10]"));
  EXPECT_THAT(message_of<ShapeError>([] {
                Conv2D(8, 3, {.groups = 4})(Input({9, 9, 6}));
              }),
              HasSubstr("groups (4)"));
  EXPECT_THAT(message_of<ShapeError>([] { Reshape({7})(Input({10})); }), HasSubstr("Reshape on [10]"));
  // The product of what is known would wrap to 0.
  EXPECT_THAT(message_of<ShapeError>([] {
                Reshape({1ll << 32, 1ll << 32, -1})(Input({10}));
              }),
              HasSubstr("too many elements"));
  EXPECT_THAT(message_of<ShapeError>([] { Add()(Input({3})); }), HasSubstr("two or more inputs"));
  EXPECT_THAT(message_of<ShapeError>([] { Dense(3)({Input({3}), Input({3})}); }), HasSubstr("one input"));
  EXPECT_THAT(message_of<ShapeError>([] { Add()({Input({3}), Input({4})}); }), HasSubstr("[3], [4]"));
}

TEST(Layers, BadArgumentsNameLayerAndLine) {
  int line = 0;
  const std::string message = message_of<UsageError>([&] {
    line = __LINE__ + 1;
    Dense(0);
  });
  EXPECT_THAT(message, HasSubstr("layers_test.cpp:" + std::to_string(line)));
  EXPECT_THAT(message, HasSubstr("Dense: units"));
  EXPECT_THAT(message_of<UsageError>([] { Dropout(1.0); }), HasSubstr("Dropout: rate"));
  EXPECT_THAT(message_of<UsageError>([] { Dropout(-0.1); }), HasSubstr("rate"));
  EXPECT_THAT(message_of<UsageError>([] { Conv2D(3, 3, {.groups = 2}); }), HasSubstr("groups"));
  EXPECT_THAT(message_of<UsageError>([] { Conv2D(3, 0); }), HasSubstr("kernel_size"));
  EXPECT_THAT(message_of<UsageError>([] { MaxPooling2D(2, {.strides = 0}); }), HasSubstr("strides"));
  // Numbers whose products would wrap.
  constexpr std::int64_t kLarge = std::int64_t{1} << 62;
  EXPECT_THAT(message_of<UsageError>([] { Conv2D(3, 3, {.dilation_rate = kLarge}); }),
              HasSubstr("dilation_rate"));
  EXPECT_THAT(message_of<UsageError>([] { Conv2D(3, 3, {.padding = pad(kLarge)}); }), HasSubstr("padding"));
  EXPECT_THAT(message_of<UsageError>([] { Conv1D(3, 3, {.padding = pad(-1, 0, 0, 0)}); }),
              HasSubstr("padding"));
  EXPECT_THAT(message_of<UsageError>([] { Conv1D(3, 3, {.padding = causal, .dilation_rate = kLarge}); }),
              HasSubstr("dilation_rate"));
  EXPECT_THAT(message_of<UsageError>([] { MaxPooling1D(kLarge); }), HasSubstr("pool_size"));
  EXPECT_THAT(message_of<UsageError>([] { AveragePooling2D(2, {.strides = kLarge}); }), HasSubstr("strides"));
  EXPECT_THAT(message_of<UsageError>([] { Reshape({-1, -1}); }), HasSubstr("-1"));
  EXPECT_THAT(message_of<UsageError>([] { Concatenate({.axis = 0}); }), HasSubstr("batch"));
}

// Every layer comes back from its config as it was.
TEST(Layers, ConfigRoundTrip) {
  const std::vector<Layer> layers = {
      Dense(7, {.activation = gelu, .use_bias = false, .kernel_initializer = random_normal(0.1f, 0.2f)}),
      Conv2D(6, {2, 3},
             {.strides = {1, 2}, .padding = same, .dilation_rate = {2, 1}, .groups = 3, .activation = relu}),
      Conv2D(6, 2, {.padding = pad(0, 1, 2, 3), .bias_initializer = constant(0.5f)}),
      MaxPooling2D({3, 2}, {.strides = 1, .padding = same}),
      AveragePooling2D(3),
      GlobalMaxPooling2D({.keepdims = true}),
      GlobalAveragePooling2D(),
      Flatten(),
      Reshape({3, -1}),
      Activation(gpunn::tanh),
      Rescaling(0.25, -1),
      Dropout(0.125),
      Add(),
      Multiply(),
      Concatenate({.axis = 2}),
      BatchNormalization({.momentum = 0.9, .epsilon = 1e-5, .center = false, .gamma_initializer = he_normal}),
  };
  for (const Layer& layer : layers) {
    const auto& definition = layer.definition();
    const Layer again = nn::layer_from_config(definition.type(), definition.config(), "name");
    EXPECT_EQ(again.definition().type(), definition.type());
    EXPECT_EQ(again.definition().config(), definition.config()) << definition.type();
    EXPECT_EQ(again.definition().name(), "name");
  }
  EXPECT_THROW(nn::layer_from_config("Lambda", nn::Json::object(), ""), DataError);
  EXPECT_THROW(nn::layer_from_config("Dense", {{"units", "many"}}, ""), DataError);
  EXPECT_THROW(nn::layer_from_config("Dense", {{"units", 3}, {"activation", "swish"}}, ""), DataError);
}

}  // namespace
}  // namespace gpunn
