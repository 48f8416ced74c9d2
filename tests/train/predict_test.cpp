// predict(), clones, functional models, plans and the cache of steps.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "src/train/step.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

TEST(Predict, DoesNotDependOnTheBatch) {
  const Table data = table(75);
  Sequential model = ffn();
  const std::vector<float> whole = elements(model.predict(data.x, {.batch_size = 75}));
  EXPECT_EQ(whole.size(), 75u);
  for (const std::int64_t batch : {1, 3, 32, 48, 64, 100}) {
    EXPECT_TRUE(same_bits(whole, elements(model.predict(data.x, {.batch_size = batch})))) << batch;
  }
  EXPECT_TRUE(same_bits(whole, elements(model.predict(data.x.data<float>()))));
  EXPECT_EQ(model.predict(Tensor(Shape{0, 10})).shape(), (Shape{0, 1}));
}

TEST(Predict, FunctionalModelsWithSeveralInputsAndOutputs) {
  const Symbolic a = Input({3}), b = Input({3});
  const Symbolic sum = Add()({a, b});
  Model model({a, b}, {sum, Multiply()({a, b}), sum, a}, {.device = "cpu"});
  const Tensor x = Tensor::of(Shape{2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor y = Tensor::of(Shape{2, 3}, std::vector<float>{2, 2, 2, 3, 3, 3});
  const auto data = std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = {x, y}});
  const std::vector<Tensor> outputs = model.predict(data);
  ASSERT_EQ(outputs.size(), 4u);
  EXPECT_THAT(elements(outputs[0]), testing::ElementsAre(3, 4, 5, 7, 8, 9));
  EXPECT_THAT(elements(outputs[1]), testing::ElementsAre(2, 4, 6, 12, 15, 18));
  EXPECT_TRUE(same_bits(elements(outputs[2]), elements(outputs[0])));
  EXPECT_TRUE(same_bits(elements(outputs[3]), elements(x)));
}

TEST(Predict, AFunctionalModelTrains) {
  const Table data = table(300);
  const Symbolic x = Input({10});
  const Symbolic h = Dense(16, {.activation = relu})(x);
  const Symbolic joined = Concatenate()({Add()({h, Dense(16, {.activation = relu})(h)}), x});
  Model model(x, Dense(1, {.activation = sigmoid})(joined), {.device = "cpu"});
  model.compile(binary_training());
  const History history = model.fit(data.x, data.y, quietly({.epochs = 20}));
  EXPECT_LT(history["loss"].back(), 0.6 * history["loss"].front());
}

TEST(Predict, BytesAreScaled) {
  Sequential model({Input({4}), Rescaling(1)}, {.device = "cpu"});
  const Tensor bytes = Tensor::of(Shape{1, 4}, std::vector<std::uint8_t>{0, 1, 128, 255});
  const auto data =
      std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = {bytes}, .input_scale = 1.0f / 255});
  const auto y = model.predict(data)[0];
  EXPECT_FLOAT_EQ(y.data<float>()[3], 1.0f);
  EXPECT_FLOAT_EQ(y.data<float>()[1], 1.0f / 255);
}

TEST(Predict, ACloneSharesWeightsAndRunsInItsOwnThread) {
  const Table data = table(64);
  Sequential model = compiled_ffn();
  Model clone = model.clone_for_inference();
  EXPECT_EQ(clone.weight("dense/kernel").bytes(), model.weight("dense/kernel").bytes());
  const auto expected = elements(model.predict(data.x));
  std::vector<float> a, b;
  std::thread other([&] { a = elements(clone.predict(data.x)); });
  b = elements(model.predict(data.x));
  other.join();
  EXPECT_TRUE(same_bits(expected, a));
  EXPECT_TRUE(same_bits(expected, b));
  model.fit(data.x, data.y, quietly({}));
  EXPECT_TRUE(same_bits(elements(model.predict(data.x)), elements(clone.predict(data.x))));
  EXPECT_THROW(clone.compile(binary_training()), UsageError);
  EXPECT_THROW(clone.fit(data.x, data.y), UsageError);
}

TEST(Predict, PlansPrintWithoutRunning) {
  Sequential model = compiled_ffn();
  const StepPlan plan = model.plan({.batch_size = 32});
  EXPECT_THAT(plan.text, testing::HasSubstr("dense"));
  EXPECT_THAT(plan.text, testing::HasSubstr("adam"));
  EXPECT_THAT(plan.json, testing::StartsWith("{"));
  EXPECT_THAT(model.plan({.mode = "predict"}).text, testing::Not(testing::HasSubstr("adam")));
  EXPECT_THROW(model.plan({.mode = "dream"}), UsageError);
  EXPECT_EQ(model.steps(), 0);
}

// What a gradient leaves free counts no longer: or a deep network would be cut into more slices than its
// copies of the weights' gradients are worth.
TEST(Plan, SlicesAreCutByWhatIsAliveAtOneTime) {
  std::vector<Layer> layers{Input({64})};
  for (int i = 0; i < 64; ++i) layers.push_back(Dense(64, {.activation = relu}));
  layers.push_back(Dense(1));
  Sequential model(layers);
  model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
  EXPECT_THAT(model.plan({.batch_size = 32}).text, testing::HasSubstr("1 slice of up to 32 rows"));
  EXPECT_THAT(model.plan({.batch_size = 256}).text, testing::HasSubstr("8 slices of up to 32 rows"));
}

TEST(Predict, PlansCountWhatTrainingWillAllocate) {
  const Table data = table(40);
  Sequential model = compiled_ffn();
  const StepPlan before = model.plan({.batch_size = 32});
  EXPECT_NE(before.json, model.plan({.mode = "predict"}).json);
  model.fit(data.x, data.y, quietly({.epochs = 1}));
  EXPECT_EQ(model.plan({.batch_size = 32}).json, before.json);  // Adam's moments were in it
}

TEST(Predict, PlansReadTheDataThatIsGiven) {
  Sequential model({Input({10}), Dense(1, {.activation = sigmoid})});
  model.compile({.loss = BinaryCrossentropy()});
  const auto bytes = std::make_shared<TensorDataset>(Tensor({8, 10}, Dtype::u8), Tensor({8, 1}));
  EXPECT_THAT(model.plan({.data = bytes}).text, testing::HasSubstr("u8"));
  EXPECT_THAT(model.plan({.data = bytes}).text, testing::HasSubstr("affine"));
  EXPECT_THAT(model.plan().text, testing::Not(testing::HasSubstr("affine")));
  const auto none = std::make_shared<TensorDataset>(Tensor({0, 10}), Tensor({0, 1}));
  EXPECT_THROW(model.plan({.data = none}), DataError);
}

class NoExecutable final : public Executable {
 public:
  void set_input(int, const void*, const std::int64_t*) override {}
  void run(Segment, const cpu::StepState&) override {}
  const void* output(int) const override { return nullptr; }
  void add_results(std::span<double>) override {}
  const Plan& plan() const override { return plan_; }

 private:
  Plan plan_;
};

TEST(StepCache, KeepsTheOnesUsedLast) {
  train::StepCache cache;
  const auto key = [](std::int64_t batch) {
    train::StepKey key;
    key.batch = batch;
    return key;
  };
  constexpr auto kRoom = static_cast<std::int64_t>(train::StepCache::kCapacity);
  for (std::int64_t batch = 1; batch <= kRoom; ++batch)
    cache.add(key(batch), std::make_unique<NoExecutable>());
  Executable* first = cache.find(key(1));
  ASSERT_NE(first, nullptr);
  cache.add(key(kRoom + 1), std::make_unique<NoExecutable>());
  EXPECT_EQ(cache.size(), train::StepCache::kCapacity);
  EXPECT_EQ(cache.find(key(1)), first);    // was used
  EXPECT_EQ(cache.find(key(2)), nullptr);  // was not
  train::StepKey weighted = key(1);
  weighted.weighted = true;
  EXPECT_EQ(cache.find(weighted), nullptr);
}

}  // namespace
}  // namespace gpunn
