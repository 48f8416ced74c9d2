// Saved models come back as they were; what cannot be loaded is named and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/files.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::HasSubstr;

class Save : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

 private:
  TempDir folder_;
};

TEST_F(Save, OutputsAreTheSameBits) {
  const Table data = table(40);
  Sequential model = compiled_ffn({.name = "cells"});
  model.fit(data.x, data.y, quietly({.epochs = 2}));
  model.save(path("model.safetensors"));
  Model again = load_model(path("model.safetensors"), {.device = "cpu"});
  EXPECT_TRUE(same_bits(elements(model.predict(data.x)), elements(again.predict(data.x))));
  EXPECT_EQ(again.name(), "cells");
  EXPECT_EQ(again.summary(), model.summary());
  EXPECT_EQ(again.evaluate(data.x, data.y)["loss"], model.evaluate(data.x, data.y)["loss"]);
}

TEST_F(Save, TrainingGoesOnWhereItWas) {
  constexpr std::uint64_t kSeed = ~0ull;  // JSON keeps all of it
  const Table data = table(90);
  Sequential straight = compiled_ffn({.seed = kSeed}), first = compiled_ffn({.seed = kSeed});
  straight.fit(data.x, data.y, quietly({.epochs = 4}));
  first.fit(data.x, data.y, quietly({.epochs = 2}));
  first.save(path("half.safetensors"));
  const auto go_on = [&](std::uint64_t seed) {
    Model second = load_model(path("half.safetensors"), {.device = "cpu", .seed = seed});
    EXPECT_EQ(second.steps(), first.steps());
    second.fit(data.x, data.y, quietly({.epochs = 4, .initial_epoch = 2}));
    return weights(second);
  };
  EXPECT_TRUE(same_bits(weights(straight), go_on(0)));  // 0: the saved one
  EXPECT_TRUE(same_bits(weights(straight), go_on(kSeed)));
  EXPECT_FALSE(same_bits(weights(straight), go_on(kSeed - 1)));
}

TEST_F(Save, FunctionalModelsKeepTheirShape) {
  const Layer shared = Dense(4, {.activation = relu, .name = "shared"});
  const Symbolic x = Input({4}, {.name = "features"});
  const Symbolic once = shared(x);
  Model model({x}, {Concatenate()({shared(once), once}), Rescaling(2)(once)},
              {.name = "two", .device = "cpu"});
  model.save(path("model.safetensors"));
  Model again = load_model(path("model.safetensors"), {.device = "cpu"});
  EXPECT_EQ(again.summary(), model.summary());
  EXPECT_EQ(again.weight_names(), model.weight_names());
  const auto data = std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {Tensor::of(Shape{1, 4}, std::vector<float>{1, -2, 3, 0.5f})}});
  const auto a = model.predict(data), b = again.predict(data);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(elements(a[i]), elements(b[i])));
}

TEST_F(Save, WeightsTravelByName) {
  Sequential model = ffn({.seed = 1}), other = ffn({.seed = 2});
  model.save_weights(path("weights.safetensors"));
  EXPECT_FALSE(same_bits(weights(model), weights(other)));
  other.load_weights(path("weights.safetensors"));
  EXPECT_TRUE(same_bits(weights(model), weights(other)));
  const auto file = io::load_safetensors(path("weights.safetensors"));
  ASSERT_NE(file.find("dense_1/kernel"), nullptr);
  EXPECT_EQ(file.find("dense_1/kernel")->shape(), (Shape{16, 8}));
}

TEST_F(Save, WeightsThatDoNotFitChangeNothing) {
  Sequential model = ffn();
  const std::vector<float> before = weights(model);
  const auto refused = [&](const std::vector<io::NamedTensor>& tensors) {
    io::save_safetensors(path("bad.safetensors"), tensors);
    const std::string message = message_of<DataError>([&] { model.load_weights(path("bad.safetensors")); });
    EXPECT_TRUE(same_bits(before, weights(model)));
    EXPECT_THAT(message, HasSubstr("bad.safetensors"));
    return message;
  };
  EXPECT_THAT(refused({{"dense/kernel", Tensor(Shape{10, 16})}}), HasSubstr("no 'dense/bias'"));
  EXPECT_THAT(refused({{"dense/kernel", Tensor(Shape{16, 10})}}),
              HasSubstr("[16, 10], the model has f32 [10, 16]"));
  EXPECT_THAT(refused({{"dense/kernel", Tensor(Shape{10, 16}, Dtype::f64)}}), HasSubstr("f64"));
  EXPECT_THROW(model.load_weights(path("missing.safetensors")), FileError);
  EXPECT_THROW(model.save(path("no/such/folder.safetensors")), FileError);
}

// A file whose header is right but whose model is not.
TEST_F(Save, HostileModelsAreRefused) {
  const auto refused = [&](const std::string& json) {
    io::save_safetensors(path("bad.safetensors"), {}, {{"gpunn_model", json}});
    return message_of<DataError>([&] { load_model(path("bad.safetensors"), {.device = "cpu"}); });
  };
  const std::string input = R"({"name": "x", "shape": [4], "dtype": "f32"})";
  const auto model = [&](const std::string& layers, const std::string& calls, const std::string& outputs) {
    return R"({"format": 1, "class_name": "Functional", "inputs": [)" + input + R"(], "layers": [)" + layers +
           R"(], "calls": [)" + calls + R"(], "outputs": [)" + outputs + "]}";
  };
  const std::string dense = R"({"class_name": "Dense", "name": "d", "config": {"units": 3}})";
  for (
      const std::string& json :
      {std::string("{"), std::string("[]"), std::string("null"), std::string(R"({"format": 2})"),
       std::string(R"({"format": 1})"), model("", "", ""), model("", "", "1"), model("", "", "-1"),
       model(dense, R"({"layer": 1, "inputs": [0]})", "1"),
       model(dense, R"({"layer": 0, "inputs": [1]})", "1"),
       model(dense, R"({"layer": 0, "inputs": [0, 0]})", "1"),
       model(dense, R"({"layer": "0", "inputs": [0]})", "1"),
       model(dense, R"({"layer": 0, "inputs": [0]})", "1"),  // the weights are missing
       model(R"({"class_name": "Dense", "name": "d", "config": {"units": -3}})",
             R"({"layer": 0, "inputs": [0]})", "1"),
       model(R"({"class_name": "Dense", "name": "d", "config": {"units": 4611686018427387904}})",
             R"({"layer": 0, "inputs": [0]})", "1"),
       model(
           R"({"class_name": "Reshape", "name": "r", "config": {"target_shape": [4294967296, 4294967296, -1]}})",
           R"({"layer": 0, "inputs": [0]})", "1"),
       model(R"({"class_name": "Custom", "name": "c", "config": {"op": "adam"}})",
             R"({"layer": 0, "inputs": [0]})", "1"),
       model(R"({"class_name": "System", "name": "d", "config": {}})", R"({"layer": 0, "inputs": [0]})", "1"),
       std::string(100000, '[')}) {
    EXPECT_THAT(refused(json), HasSubstr("bad.safetensors: not a model that can be loaded"))
        << json.substr(0, 100);
  }
  io::save_safetensors(path("weights.safetensors"), {});
  EXPECT_THAT(message_of<DataError>([&] { load_model(path("weights.safetensors")); }),
              HasSubstr("load_weights()"));
}

// The training settings of a file keep to what compile() keeps to, and so does what they are for.
TEST_F(Save, HostileTrainingSettingsAreRefused) {
  const Table data = table(40);
  Sequential model = compiled_ffn();
  model.fit(data.x, data.y, quietly({.epochs = 1}));
  model.save(path("good.safetensors"));
  const io::SafetensorsFile good = io::load_safetensors(path("good.safetensors"));
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string json = good.metadata.at("gpunn_model");
    const std::size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    json.replace(at, from.size(), to);
    io::save_safetensors(path("bad.safetensors"), good.tensors, {{"gpunn_model", json}});
    return message_of<DataError>([&] { load_model(path("bad.safetensors"), {.device = "cpu"}); });
  };
  std::string metrics = R"(["accuracy")";
  for (int i = 1; i < 70; ++i) metrics += R"(,"accuracy")";
  EXPECT_THAT(refused(R"(["accuracy")", metrics), HasSubstr("70 metrics, of which 63"));
  EXPECT_THAT(refused(R"("binary_crossentropy")", R"("none")"), HasSubstr("no loss"));
  EXPECT_THAT(refused(R"(["accuracy")", R"(["sparse_categorical_accuracy")"),
              HasSubstr("the metric sparse_categorical_accuracy"));
  EXPECT_THAT(refused(R"("label_smoothing":0.0)", R"("label_smoothing":2)"),
              HasSubstr("label_smoothing is 2"));
  const std::string steps = R"("steps_per_execution":1)";
  EXPECT_THAT(refused(steps, R"("steps_per_execution":-5)"), HasSubstr("-5"));
  EXPECT_THAT(refused(steps, R"("steps_per_execution":0)"), HasSubstr("steps_per_execution is 0"));
  EXPECT_THAT(refused(steps, R"("steps_per_execution":4294967297)"), HasSubstr("4294967297"));
  EXPECT_THAT(refused(R"("step":2)", R"("step":-2)"), HasSubstr("'step' holds -2"));
  EXPECT_THAT(refused(R"("epoch":1)", R"("epoch":0.5)"), HasSubstr("'epoch' holds 0.5"));
  EXPECT_THAT(refused(R"(,"learning_rate":0.01,"step")", R"(,"learning_rate":-1,"step")"),
              HasSubstr("learning rate -1"));
  EXPECT_THAT(refused(R"("layer":1,)", R"("layer":4294967297,)"), HasSubstr("'layer' holds 4294967297"));
}

TEST_F(Save, CheckpointsAndLogsOfEpochs) {
  const Table data = table(40);
  Sequential model = compiled_ffn();
  model.fit(data.x, data.y,
            quietly({.epochs = 2,
                     .callbacks = {ModelCheckpoint(path("at_{epoch:02d}.safetensors")),
                                   CSVLogger(path("log.csv"))}}));
  EXPECT_TRUE(std::filesystem::exists(path("at_01.safetensors")));
  Model last = load_model(path("at_02.safetensors"), {.device = "cpu"});
  EXPECT_TRUE(same_bits(weights(model), weights(last)));
  const auto table = data::csv_table(path("log.csv"));
  EXPECT_THAT(table.features, testing::ElementsAre("epoch", "loss", "accuracy"));
  EXPECT_EQ(table.x.shape(), (Shape{2, 3}));
  EXPECT_THAT(message_of<UsageError>([&] {
                model.fit(data.x, data.y, quietly({.callbacks = {ModelCheckpoint(path("{val_loss:.2f}"))}}));
              }),
              HasSubstr("no 'val_loss'"));
  EXPECT_THROW(model.fit(data.x, data.y, quietly({.callbacks = {CSVLogger(path("no/folder.csv"))}})),
               FileError);
}

}  // namespace
}  // namespace gpunn
