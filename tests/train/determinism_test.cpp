// Equal seeds give equal weights, bit for bit: whatever the threads, the way the data comes, and from run to
// run.

#include <gtest/gtest.h>

#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

// The same samples, read instead of resident.
class ReadDataset final : public Dataset {
 public:
  explicit ReadDataset(DatasetPtr whole) : whole_(std::move(whole)) {}
  std::int64_t size() const override { return whole_->size(); }
  std::vector<Field> inputs() const override { return whole_->inputs(); }
  std::vector<Field> targets() const override { return whole_->targets(); }
  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    whole_->read(rows, fields);
  }

 private:
  DatasetPtr whole_;
};

Sequential dropout_model(int threads, std::uint64_t seed = 3) {
  Sequential model({Input({10}), Dense(48, {.activation = relu}), Dropout(0.3),
                    Dense(33, {.activation = gelu}), Dense(1, {.activation = sigmoid})},
                   {.device = "cpu", .threads = threads, .seed = seed});
  model.compile(
      {.optimizer = AdamW({.learning_rate = 0.01, .global_clipnorm = 0.5}), .loss = BinaryCrossentropy()});
  return model;
}

std::vector<float> trained(Sequential model, const DatasetPtr& data, FitOptions options) {
  options.batch_size = 96;
  options.epochs = 25;  // of 4 steps
  model.fit(data, quietly(std::move(options)));
  EXPECT_EQ(model.steps(), 100);
  return weights(model);
}

TEST(Determinism, WeightsDoNotDependOnThreadsOrLoader) {
  const DatasetPtr data = table(350).dataset();  // the last batch is short
  const std::vector<float> reference = trained(dropout_model(1), data, {});
  for (const int threads : {1, 2, 3, 8, 16}) {
    EXPECT_TRUE(same_bits(reference, trained(dropout_model(threads), data, {}))) << threads << " threads";
  }
  const auto read = std::make_shared<ReadDataset>(data);
  for (const int prefetch : {0, 2}) {
    EXPECT_TRUE(same_bits(reference, trained(dropout_model(2), read, {.prefetch = prefetch}))) << prefetch;
  }
}

TEST(Determinism, SeedsMatter) {
  const DatasetPtr data = table(350).dataset();
  const std::vector<float> reference = trained(dropout_model(1), data, {});
  EXPECT_FALSE(same_bits(reference, trained(dropout_model(1, 4), data, {})));
  EXPECT_FALSE(same_bits(reference, trained(dropout_model(1), data, {.seed = 4})));
  EXPECT_FALSE(same_bits(reference, trained(dropout_model(1), data, {.shuffle = false})));
}

}  // namespace
}  // namespace gpunn
