// Every mistake gets the right exception, which names what and where; the model stays as it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "src/core/host_memory.hpp"
#include "src/train/batches.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Mistakes, OrderOfCalls) {
  const Table data = table(8);
  Sequential model = ffn();
  EXPECT_THAT(message_of<UsageError>([&] { model.fit(data.x, data.y); }),
              AllOf(HasSubstr("mistakes_test.cpp:"), HasSubstr("fit: call compile() first")));
  EXPECT_THAT(message_of<UsageError>([&] { model.evaluate(data.x, data.y); }), HasSubstr("evaluate"));
  EXPECT_THAT(message_of<UsageError>([&] { model.compile({}); }), HasSubstr("no loss"));
  EXPECT_THAT(message_of<UsageError>(
                  [&] { model.compile({.optimizer = Adam({.beta_1 = 1.0}), .loss = MeanSquaredError()}); }),
              HasSubstr("beta_1 must be at least 0 and below 1"));
  EXPECT_THAT(message_of<DeviceError>([&] {
                Sequential({Input({1}), Dense(1)}, {.device = "tpu"});
              }),
              HasSubstr("'tpu'"));
}

// compile() finds what a step would stumble over, at the line that chose it; the model stays compiled as it
// was.
TEST(Mistakes, LossAndMetricsThatDoNotFitTheOutput) {
  const Table data = table(8);
  Sequential model = compiled_ffn();
  int line = 0;
  const std::string message = message_of<ShapeError>([&] {
    line = __LINE__ + 1;
    model.compile({.loss = SparseCategoricalCrossentropy(), .metrics = {binary_accuracy}});
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("mistakes_test.cpp:" + std::to_string(line)),
                    HasSubstr("compile: the metric binary_accuracy does not fit the output, f32 [1]")));
  model.fit(data.x, data.y, quietly({}));
  EXPECT_THAT(message_of<ShapeError>([&] {
                model.compile({.loss = BinaryCrossentropy(), .metrics = {sparse_categorical_accuracy}});
              }),
              HasSubstr("the metric sparse_categorical_accuracy"));
  Sequential ids({Input({3}, {.dtype = Dtype::i32})}, {.device = "cpu"});
  EXPECT_THAT(
      message_of<ShapeError>([&] { ids.compile({.loss = MeanSquaredError()}); }),
      AllOf(HasSubstr("mistakes_test.cpp:"), HasSubstr("the loss mean_squared_error"), HasSubstr("i32 [3]")));
  EXPECT_THAT(
      message_of<UsageError>([&] { model.compile({.loss = BinaryCrossentropy({.label_smoothing = 1.5})}); }),
      HasSubstr("label_smoothing is 1.5"));
  EXPECT_THAT(message_of<UsageError>([&] {
                model.compile({.loss = BinaryCrossentropy(), .metrics = std::vector<Metric>(64, accuracy)});
              }),
              HasSubstr("64 metrics, of which 63 are possible"));
  model.compile({.loss = BinaryCrossentropy(), .metrics = std::vector<Metric>(63, accuracy)});
  EXPECT_EQ(model.evaluate(data.x, data.y)["accuracy"], model.evaluate(data.x, data.y)["accuracy"]);
}

// What is told the caller's line besides fit().
TEST(Mistakes, NameTheLine) {
  const Table data = table(8);
  Sequential model = compiled_ffn();
  const auto here = HasSubstr("mistakes_test.cpp:");
  EXPECT_THAT(message_of<UsageError>([&] { model.evaluate(data.x, data.y, {.batch_size = 0}); }),
              AllOf(here, HasSubstr("evaluate: batch_size is 0")));
  EXPECT_THAT(message_of<UsageError>([&] { model.evaluate(data.dataset(), {.prefetch = -1}); }),
              AllOf(here, HasSubstr("evaluate: prefetch is -1")));
  EXPECT_THAT(message_of<UsageError>([&] { model.plan({.batch_size = 0}); }),
              AllOf(here, HasSubstr("plan: batch_size is 0")));
  EXPECT_THAT(message_of<UsageError>([&] { model.plan({.mode = "fly"}); }), AllOf(here, HasSubstr("'fly'")));
  EXPECT_THAT(message_of<DeviceError>([&] { model.plan({.device = "tpu"}); }),
              AllOf(here, HasSubstr("'tpu'")));
  EXPECT_THAT(message_of<ShapeError>([&] {
                model.plan({.data = std::make_shared<TensorDataset>(Tensor(Shape{8, 9}), data.y)});
              }),
              AllOf(here, HasSubstr("plan: input 0 of the data is [9]")));
  Sequential large({Input({std::int64_t{1} << 40, 8, 1}), Conv2D(2, 3, {.strides = 2})}, {.device = "cpu"});
  EXPECT_THAT(message_of<DeviceError>([&] { large.plan({.mode = "predict"}); }),  // oneDNN would divide by 0
              HasSubstr("no convolution with a number of 1099511627776"));
  EXPECT_THAT(message_of<UsageError>([&] { ffn().plan(); }), AllOf(here, HasSubstr("plan: call compile()")));
  EXPECT_THAT(message_of<UsageError>([&] { model.weight("dense/kernels"); }),
              AllOf(here, HasSubstr("'dense/kernels'")));
  EXPECT_THAT(message_of<UsageError>([&] { model.set_learning_rate(-1); }),
              AllOf(here, HasSubstr("learning rate -1")));
  EXPECT_THAT(message_of<FileError>([&] { model.load_weights("nowhere.safetensors"); }),
              AllOf(here, HasSubstr("nowhere.safetensors")));
  EXPECT_THAT(message_of<FileError>([&] { load_model("nowhere.safetensors"); }),
              AllOf(here, HasSubstr("nowhere.safetensors")));
  EXPECT_THAT(message_of<DeviceError>([&] {
                Sequential({Input({1}), Dense(1)}, {.device = "null"});
              }),
              AllOf(here, HasSubstr("nothing can run on it")));
}

TEST(Mistakes, ShapesOfData) {
  Sequential model = compiled_ffn();
  const Table data = table(8);
  EXPECT_THAT(
      message_of<ShapeError>([&] {
        model.fit(Tensor(Shape{8, 9}), data.y);
      }),
      AllOf(HasSubstr("mistakes_test.cpp:"), HasSubstr("input 0 of the data is [9]"), HasSubstr("[10]")));
  EXPECT_THAT(message_of<ShapeError>([&] { model.fit(data.x, Tensor(Shape{8, 2})); }), HasSubstr("label"));
  EXPECT_THAT(message_of<ShapeError>([&] {
                model.fit(data.x, Tensor(Shape{7, 1}));
              }),
              HasSubstr("numbers of samples"));
  EXPECT_THAT(message_of<ShapeError>([&] { model.predict(Tensor(Shape{8, 11})); }), HasSubstr("predict"));
  const std::vector<float> odd(25);
  EXPECT_THAT(message_of<ShapeError>([&] { model.predict(std::span<const float>(odd)); }),
              HasSubstr("25 numbers are not whole samples of [10]"));
  EXPECT_THAT(message_of<DataError>([&] {
                model.fit(Tensor(Shape{0, 10}), Tensor(Shape{0, 1}));
              }),
              HasSubstr("no samples"));
}

TEST(Mistakes, ValuesNameTheSample) {
  Sequential model = compiled_ffn();
  const std::vector<float> before = weights(model);
  Table data = table(50);
  const auto fit = [&] { model.fit(data.x, data.y, quietly({})); };
  data.x.data<float>()[10 * 17 + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(message_of<DataError>(fit), HasSubstr("sample 17 of the data: input 0 nan is not finite"));
  model.predict(data.x);  // which is allowed
  data = table(50);
  data.y.data<float>()[31] = 2;
  EXPECT_THAT(message_of<DataError>(fit), HasSubstr("sample 31 of the data: label 2 is not from 0 to 1"));
  EXPECT_TRUE(same_bits(before, weights(model)));

  Sequential classes({Input({10}), Dense(4, {.activation = softmax})}, {.device = "cpu"});
  classes.compile({.optimizer = SGD(), .loss = SparseCategoricalCrossentropy(), .metrics = {accuracy}});
  for (const std::int32_t wrong : {4, -1, 123456}) {
    Tensor labels(Shape{50}, Dtype::i32);
    labels.data<std::int32_t>()[9] = wrong;
    EXPECT_THAT(message_of<DataError>([&] { classes.fit(data.x, labels, quietly({})); }),
                HasSubstr("sample 9 of the data: label " + std::to_string(wrong) + " is not from 0 to 3"));
  }
  // Bytes, whole floats and 64-bit numbers are labels, too.
  for (const Dtype dtype : {Dtype::u8, Dtype::f32, Dtype::i64}) {
    classes.fit(data.x, Tensor(Shape{50}, dtype), quietly({}));
  }
}

// Weights are looked up before labels are checked: what is no class has none, and is refused then.
TEST(Mistakes, LabelsThatAreNoClass) {
  Sequential model = compiled_ffn();
  Table data = table(50);
  const std::map<int, float> of_class = {{0, 2.0f}, {1, 3.0f}, {std::numeric_limits<int>::min(), 4.0f}};
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), 1e30f, -INFINITY}) {
    data.y.data<float>()[31] = wrong;
    const DatasetPtr weighted = train::weighted(data.dataset(), {}, of_class, SourceLocation::current());
    EXPECT_EQ(weighted->resident()[2].data<float>()[31], 1) << wrong;
    EXPECT_THAT(
        message_of<DataError>([&] { model.fit(data.x, data.y, quietly({.class_weight = of_class})); }),
        HasSubstr("sample 31 of the data: label"));
  }
}

// Labels that are bytes are numbers like others, in memory and read batch by batch.
TEST(Mistakes, ByteLabelsAreChecked) {
  const Table data = table(50);
  const auto model_of = [](std::int64_t units, const Loss& loss) {
    Sequential model({Input({10}), Dense(units, {.activation = units > 1 ? softmax : sigmoid})},
                     {.device = "cpu"});
    model.compile({.optimizer = SGD(), .loss = loss, .metrics = {accuracy}});
    return model;
  };
  for (const std::int64_t units : {1, 3}) {
    for (const Loss& loss : units == 1 ? std::vector{MeanSquaredError(), BinaryCrossentropy(),
                                                     BinaryCrossentropy({.label_smoothing = 0.1f})}
                                       : std::vector{CategoricalCrossentropy(),
                                                     CategoricalCrossentropy({.label_smoothing = 0.1f})}) {
      Tensor bytes(Shape{50, units}, Dtype::u8);
      for (std::size_t r = 0; r < 50; ++r)
        bytes.data<std::uint8_t>()[r * static_cast<std::size_t>(units)] = 1;
      const auto dataset = [&](const Tensor& labels) {
        return std::make_shared<TensorDataset>(data.x, labels);
      };
      Sequential a = model_of(units, loss), b = model_of(units, loss), c = model_of(units, loss);
      a.fit(dataset(bytes), quietly({}));
      b.fit(dataset(bytes.to(Dtype::f32)), quietly({}));
      c.fit(std::make_shared<Unresident>(dataset(bytes)), quietly({}));
      EXPECT_TRUE(same_bits(weights(a), weights(b)));
      EXPECT_TRUE(same_bits(weights(a), weights(c)));
      if (loss.kind == Loss::Kind::mean_squared_error) continue;
      bytes.data<std::uint8_t>()[static_cast<std::size_t>(31 * units)] = 255;
      EXPECT_THAT(message_of<DataError>([&] { a.fit(dataset(bytes), quietly({})); }),
                  HasSubstr("sample 31 of the data: label 255 is not from 0 to 1"));
    }
  }
}

TEST(Mistakes, OptionsOutOfRange) {
  Sequential model = compiled_ffn();
  const Table data = table(8);
  const auto refused = [&](FitOptions options) {
    return message_of<UsageError>([&] { model.fit(data.x, data.y, quietly(options)); });
  };
  EXPECT_THAT(refused({.batch_size = 0}), HasSubstr("batch_size is 0"));
  EXPECT_THAT(refused({.epochs = -1}), HasSubstr("epochs is -1"));
  EXPECT_THAT(refused({.validation_split = 1}), HasSubstr("validation_split is 1"));
  EXPECT_THAT(refused({.validation_split = 0.95}), HasSubstr("leaves one part empty"));
  EXPECT_THAT(refused({.prefetch = -1}), HasSubstr("prefetch"));
  EXPECT_THAT(refused({.callbacks = {nullptr}}), HasSubstr("a callback is null"));
  EXPECT_THROW(model.fit(data.x, data.y, quietly({.sample_weight = Tensor(Shape{7})})), ShapeError);
  EXPECT_THROW(model.fit(data.x, data.y, quietly({.class_weight = {{1, -1.0f}}})), DataError);
  EXPECT_THROW(model.weight("dense/kernels"), UsageError);
  EXPECT_THROW(model.set_learning_rate(NAN), UsageError);
  EXPECT_THROW(History{}.epochs().at(0), std::out_of_range);
}

// The k-th request for memory fails, for every k until none does: the exception is OutOfMemory, nothing
// leaks, and the model then trains to the same bits as one that met no failure.
TEST(Mistakes, EveryAllocationMayFail) {
  const Table data = table(40);
  const auto train = [&](Model& model) {
    model.fit(data.x, data.y, quietly({.epochs = 2, .validation_data = data.dataset()}));
    return weights(model);
  };
  Sequential untroubled = compiled_ffn({.threads = 1});
  const std::vector<float> expected = train(untroubled);

  std::int64_t failures = 0;
  for (std::int64_t k = 1;; ++k) {
    const std::int64_t live = live_host_blocks();
    {
      std::optional<Sequential> model;
      bool failed = false;
      {
        const HostMemoryFault fault(k);
        try {
          model.emplace(compiled_ffn({.threads = 1}));
          train(*model);
        } catch (const OutOfMemory&) {
          failed = true;
        }
      }
      if (!failed) break;
      ++failures;
      if (model) {
        // What was trained before the failure stays trained; from the start it gives the same bits.
        if (model->steps() == 0)
          EXPECT_TRUE(same_bits(expected, train(*model))) << "allocation " << k;
        else
          train(*model);
      }
    }
    EXPECT_EQ(live_host_blocks(), live) << "allocation " << k;
    ASSERT_LT(k, 1000);
  }
  EXPECT_GT(failures, 5);
}

}  // namespace
}  // namespace gpunn
