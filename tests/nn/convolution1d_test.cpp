// Convolution and pooling along time: shapes, mistakes, masks and saved models. tests/golden has the numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gpunn/model.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;

TEST(Conv1D, ShapesOfEveryPadding) {
  const Symbolic x = Input({9, 4});
  EXPECT_EQ(Conv1D(6, 3)(x).shape(), (Shape{7, 6}));
  EXPECT_EQ(Conv1D(6, 3, {.strides = 2})(x).shape(), (Shape{4, 6}));
  EXPECT_EQ(Conv1D(6, 3, {.strides = 2, .padding = same})(x).shape(), (Shape{5, 6}));
  EXPECT_EQ(Conv1D(6, 3, {.padding = causal})(x).shape(), (Shape{9, 6}));
  EXPECT_EQ(Conv1D(6, 3, {.padding = causal, .dilation_rate = 4})(x).shape(), (Shape{9, 6}));
  EXPECT_EQ(Conv1D(6, 3, {.padding = pad(2, 1, 0, 0)})(x).shape(), (Shape{10, 6}));
  EXPECT_EQ(Conv1D(6, 9)(x).shape(), (Shape{1, 6}));
  EXPECT_EQ(MaxPooling1D()(x).shape(), (Shape{4, 4}));
  EXPECT_EQ(AveragePooling1D(3, {.strides = 1, .padding = same})(x).shape(), (Shape{9, 4}));
  EXPECT_EQ(GlobalMaxPooling1D()(x).shape(), Shape{4});
  EXPECT_EQ(GlobalAveragePooling1D({.keepdims = true})(x).shape(), (Shape{1, 4}));
}

TEST(Conv1D, TellsWhatIsWrong) {
  const Symbolic x = Input({9, 4}), image = Input({9, 9, 4}), flat = Input({9});
  EXPECT_THAT(message_of<ShapeError>([&] { Conv1D(6, 10)(x); }), HasSubstr("Conv1D"));
  EXPECT_THAT(message_of<ShapeError>([&] { Conv1D(6, 3)(image); }),
              HasSubstr("needs sequences [steps, features]"));
  EXPECT_THAT(message_of<ShapeError>([&] { GlobalMaxPooling1D()(flat); }), HasSubstr("GlobalMaxPooling1D"));
  EXPECT_THROW(MaxPooling1D(2)(flat), ShapeError);
  EXPECT_THROW(Conv1D(6, 3, {.groups = 3})(x), ShapeError);
  EXPECT_THROW(Conv1D(6, 3, {.groups = 4}), UsageError);
  EXPECT_THROW(Conv1D(0, 3), UsageError);
  EXPECT_THROW(Conv1D(6, 0), UsageError);
  EXPECT_THROW(Conv1D(6, 3, {.strides = 0}), UsageError);
  EXPECT_THROW(Conv1D(6, 3, {.dilation_rate = 0}), UsageError);
  EXPECT_THROW(Conv1D(6, 3, {.padding = pad(1)}), UsageError) << "there are no sides to pad";
  EXPECT_THROW(MaxPooling1D(0), UsageError);
  EXPECT_THROW(MaxPooling1D(2, {.strides = -1}), UsageError);
  EXPECT_THROW(MaxPooling1D(2, {.padding = causal}), UsageError);
  EXPECT_THROW(Conv2D(6, 3, {.padding = causal})(image), ShapeError);
}

TEST(Conv1D, ExplicitPaddingIsAlongTime) {
  Sequential model({Input({3, 1}), Conv1D(1, 2, {.padding = pad(2, 1, 0, 0), .kernel_initializer = ones})});
  const Tensor y = model.predict(Tensor::of({1, 3, 1}, std::vector<float>{1, 2, 4}));
  EXPECT_THAT(std::vector(y.data<float>().begin(), y.data<float>().end()), ElementsAre(0, 1, 3, 6, 4));
}

TEST(Conv1D, CausalOutputsDoNotSeeWhatComesLater) {
  Sequential model({Input({6, 2}), Conv1D(3, 3, {.padding = causal, .dilation_rate = 2}),
                    Conv1D(2, 2, {.padding = causal})});
  Tensor x({1, 6, 2});
  for (std::size_t i = 0; i < 12; ++i) x.data<float>()[i] = static_cast<float>(i) - 3;
  const Tensor before = model.predict(x);
  x.data<float>()[8] = 100;  // of step 4
  const Tensor after = model.predict(x);
  const auto a = before.data<float>(), b = after.data<float>();
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 8, b.begin()));
  EXPECT_NE(a[8], b[8]);
}

TEST(GlobalAveragePooling1D, LeavesOutPadding) {
  Sequential model({Input({4}, {.dtype = Dtype::i32}), Embedding(5, 2, {.mask_zero = true}), Dropout(0.5),
                    GlobalAveragePooling1D()});
  const auto table = model.weight("embedding/embeddings").data<float>();
  for (std::size_t i = 0; i < 10; ++i) table[i] = static_cast<float>(i * i);
  const Tensor y =
      model.predict(Tensor::of({3, 4}, std::vector<std::int32_t>{1, 3, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0}));
  const auto p = y.data<float>();
  EXPECT_THAT(std::vector(p.begin(), p.begin() + 4),
              ElementsAre(FloatNear((4 + 36) / 2.0f, 1e-4f), FloatNear((9 + 49) / 2.0f, 1e-4f),
                          FloatNear(16, 1e-4f), FloatNear(25, 1e-4f)));
  EXPECT_TRUE(std::isnan(p[4])) << "of no step at all, as in Keras";
}

TEST(Conv1D, ModelsAreSavedAndComeBack) {
  const TempDir dir;
  const Symbolic x = Input({12, 4});
  const Symbolic a =
      Conv1D(6, 3, {.strides = 2, .padding = same, .groups = 2, .activation = relu, .use_bias = false})(x);
  const Symbolic b = Conv1D(6, 2, {.padding = causal, .dilation_rate = 3, .activation = tanh})(a);
  const Symbolic c = Conv1D(4, 1, {.padding = pad(1, 2, 0, 0), .kernel_initializer = he_normal})(b);
  const Symbolic d = AveragePooling1D(3, {.strides = 1, .padding = same})(MaxPooling1D(2, {.strides = 1})(c));
  Model model(x,
              Concatenate()({GlobalMaxPooling1D()(d), GlobalAveragePooling1D()(d),
                             Flatten()(GlobalAveragePooling1D({.keepdims = true})(d))}),
              {.seed = 4});
  Tensor input({5, 12, 4});
  for (std::size_t i = 0; i < input.data<float>().size(); ++i)
    input.data<float>()[i] = std::sin(static_cast<float>(i));
  model.save(dir / "model.safetensors");
  Model back = load_model(dir / "model.safetensors");
  const Tensor y = model.predict(input), z = back.predict(input);
  EXPECT_EQ(y.shape(), (Shape{5, 12}));
  EXPECT_TRUE(std::ranges::equal(y.data<float>(), z.data<float>()));
  EXPECT_EQ(back.summary(), model.summary());
}

}  // namespace
}  // namespace gpunn
