// Plans for GPUs that are not there, by the real backend and the real cuDNN.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>
#include <set>

namespace gpunn {
namespace {

using testing::HasSubstr;

Sequential cnn() {
  Sequential model({Input({28, 28, 1}), Conv2D(32, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                    Conv2D(64, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}), Flatten(),
                    Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                   {.device = "cpu"});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy(), .metrics = {accuracy}});
  return model;
}

nlohmann::json step_of(const nlohmann::json& plan, const std::string& layer, const std::string& op) {
  for (const auto& step : plan["steps"]) {
    if (step["layer"] == layer && step["op"] == op) return step;
  }
  ADD_FAILURE() << "no step " << layer << "/" << op;
  return {};
}

TEST(DescribedDevices, PlansNameTheEngineOfEveryConvolution) {
  const Sequential model = cnn();
  std::set<std::string> engines;
  for (const std::string device : {"t4", "a100", "l4", "h100", "b200", "rtx5090"}) {
    const StepPlan plan = model.plan({.batch_size = 32, .device = device});
    EXPECT_THAT(plan.text, HasSubstr("Plan for " + device + ", batch 32"));
    const auto json = nlohmann::json::parse(plan.json);
    const auto first = step_of(json, "conv2d", "conv2d"), second = step_of(json, "conv2d_1", "conv2d");
    EXPECT_EQ(first["implementation"], "own convolution") << "one channel";
    EXPECT_EQ(first["why"], "few taps: memory-bound");
#if GPUNN_HAVE_CUDNN
    EXPECT_THAT(second["implementation"].get<std::string>(), HasSubstr("cudnn engine "));
    engines.insert(second["implementation"]);
#else
    EXPECT_EQ(second["why"], "built without cuDNN");
#endif
    EXPECT_EQ(step_of(json, "dense", "dense")["implementation"], "cublaslt");
    EXPECT_EQ(step_of(json, "dense", "dense")["why"], "algorithm chosen at bind");
    for (const auto& step : json["steps"]) {
      if (step["launches"] > 0) {
        EXPECT_NE(step["apart"], "") << step;
      }
    }
  }
#if GPUNN_HAVE_CUDNN
  EXPECT_GE(engines.size(), 3u) << "architectures have engines of their own";
#endif
}

TEST(DescribedDevices, ArePlannedForAndNothingElse) {
  static_cast<void>(cnn().plan({.device = "h100"}));
  try {
    const Sequential model({Input({4}), Dense(1)}, {.device = "h100"});
    ADD_FAILURE() << "there is no H100 here";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'h100' can be planned for, and nothing can run on it"));
  }
  try {
    static_cast<void>(cnn().plan({.device = "h99"}));
    ADD_FAILURE() << "there is no h99";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("h100"));  // what there is
  }
}

}  // namespace
}  // namespace gpunn
