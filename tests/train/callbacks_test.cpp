// What the ready-made callbacks do: stop early, restore, name files, complain.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "src/train/path_pattern.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Gives the one weight of a model a value of its own in every epoch: the validation loss is its square.
class Script final : public Callback {
 public:
  explicit Script(std::vector<float> values) : values_(std::move(values)) {}
  void on_epoch_begin(Model& model, int epoch) override {
    model.weight("dense/kernel").data<float>()[0] = values_.at(static_cast<std::size_t>(epoch));
    if (epoch == stop_in_epoch) stop = true;
  }
  int stop_in_epoch = -1;
  std::atomic<bool> stop = false;

 private:
  std::vector<float> values_;
};

struct Outcome {
  std::size_t epochs = 0;
  float weight = 0;  // of the epoch that was restored, or of the last
  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend void PrintTo(const Outcome& o, std::ostream* out) { *out << o.epochs << " epochs, " << o.weight; }
};

class EarlyStoppingIsKeras : public testing::Test {
 protected:
  Outcome fit(const std::vector<float>& values, const CallbackPtr& early, int stop_in_epoch = -1) {
    Sequential model({Input({1}), Dense(1, {.use_bias = false})}, {.device = "cpu"});
    model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = MeanSquaredError()});
    const auto script = std::make_shared<Script>(values);
    script->stop_in_epoch = stop_in_epoch;
    const Tensor x = Tensor::of({1, 1}, std::vector{1.0f}), y = Tensor::of({1, 1}, std::vector{0.0f});
    const History history = model.fit(x, y,
                                      quietly({.epochs = static_cast<int>(values.size()),
                                               .validation_data = std::make_shared<TensorDataset>(x, y),
                                               .callbacks = {script, early},
                                               .stop = &script->stop}));
    EXPECT_EQ(history.interrupted, stop_in_epoch >= 0);
    return {history.epochs().size(), model.weight("dense/kernel").data<float>()[0]};
  }
  Outcome fit(const std::vector<float>& values, EarlyStoppingOptions options, int stop_in_epoch = -1) {
    return fit(values, EarlyStopping(std::move(options)), stop_in_epoch);
  }
};

TEST_F(EarlyStoppingIsKeras, RestoresTheBestWhenItStops) {
  const std::vector<float> values{3, 2, 1, 2, 3, 0.5f};
  EXPECT_EQ(fit(values, {.patience = 2, .restore_best_weights = true}), (Outcome{5, 1}));
  EXPECT_EQ(fit(values, {.patience = 2}), (Outcome{5, 3}));
  EXPECT_EQ(fit(values, {.patience = 1, .restore_best_weights = true}), (Outcome{4, 1}));
  EXPECT_EQ(fit(values, {.restore_best_weights = true}), (Outcome{4, 1}));
  EXPECT_EQ(fit(values, {.min_delta = 10, .patience = 2, .restore_best_weights = true}), (Outcome{3, 3}));
}

TEST_F(EarlyStoppingIsKeras, RestoresTheBestWhenTheEpochsEnd) {
  EXPECT_EQ(fit({3, 1, 2}, {.patience = 9, .restore_best_weights = true}), (Outcome{3, 1}));
  EXPECT_EQ(fit({3, 1, 2}, {.patience = 9}), (Outcome{3, 2}));
}

TEST_F(EarlyStoppingIsKeras, RestoresTheBestOfAnInterruptedFit) {
  EXPECT_EQ(fit({3, 1, 2, 2}, {.patience = 9, .restore_best_weights = true}, 2), (Outcome{2, 1}));
  EXPECT_EQ(fit({3, 1}, {.patience = 9, .restore_best_weights = true}, 0), (Outcome{0, 3}));
}

TEST_F(EarlyStoppingIsKeras, LooksAtNoEpochBeforeTheFirstOfItsOwn) {
  EXPECT_EQ(fit({1, 2, 5, 4, 6, 7, 8}, {.patience = 2, .restore_best_weights = true, .start_from_epoch = 2}),
            (Outcome{6, 4}));
}

// Losses that are infinite: none is better than another.
TEST_F(EarlyStoppingIsKeras, RestoresTheFirstWhereNoneIsBest) {
  EXPECT_EQ(fit({1e30f, 2e30f, 3e30f}, {.restore_best_weights = true}), (Outcome{2, 1e30f}));
  EXPECT_EQ(fit({1e30f, 2e30f, 3e30f}, {.patience = 9, .restore_best_weights = true}), (Outcome{3, 1e30f}));
}

TEST_F(EarlyStoppingIsKeras, ForgetsTheFitBefore) {
  const CallbackPtr early = EarlyStopping({.patience = 2, .restore_best_weights = true});
  EXPECT_EQ(fit({3, 1, 2}, early), (Outcome{3, 1}));
  EXPECT_EQ(fit({7, 9, 9, 9}, early), (Outcome{3, 7}));
}

std::vector<std::string> logged(const std::function<void()>& run) {
  std::vector<std::string> messages;
  set_log_sink([&](LogLevel, std::string_view message) { messages.emplace_back(message); });
  run();
  set_log_sink({});
  return messages;
}

TEST(Callbacks, AWrongMonitorIsToldOncePerFit) {
  const Table data = table(20);
  Sequential model = compiled_ffn();
  const std::filesystem::path none = std::filesystem::temp_directory_path() / "gpunn_no_such_folder/x";
  for (const CallbackPtr& callback :
       {EarlyStopping({.monitor = "val_los"}),
        ModelCheckpoint(none, {.monitor = "val_los", .save_best_only = true})}) {
    for (int fit = 0; fit < 2; ++fit) {
      EXPECT_THAT(logged([&] { model.fit(data.x, data.y, quietly({.epochs = 3, .callbacks = {callback}})); }),
                  ElementsAre(HasSubstr("monitors 'val_los', which this fit() does not measure")))
          << fit;
    }
  }
}

// As Python's format() has it.
TEST(Callbacks, PathsAreFilled) {
  Logs logs;
  logs.set("loss", 0.5);
  logs.set("val_loss", 12.345678901234567);
  logs.set("val_accuracy", 1e-5);
  const auto fill = [&](std::string_view pattern) { return train::PathPattern(pattern).fill(7, logs); };
  EXPECT_EQ(fill("plain"), "plain");
  EXPECT_EQ(fill("at_{epoch}.x"), "at_7.x");
  EXPECT_EQ(fill("{epoch}{epoch:d}{epoch:3d}{epoch:03}{epoch:02d}"), "77  700707");
  EXPECT_EQ(fill("{epoch:.1f}"), "7.0");
  EXPECT_EQ(fill("{epoch:02d}-{val_loss:.2f}.safetensors"), "07-12.35.safetensors");
  EXPECT_EQ(fill("{val_loss:8.3f}|{val_loss:08.3f}|{val_loss:e}|{val_loss:.3g}"),
            "  12.346|0012.346|1.234568e+01|12.3");
  EXPECT_EQ(fill("{loss} {val_loss} {val_accuracy}"), "0.5 12.345678901234567 1e-05");
  EXPECT_EQ(fill("{{epoch}}{{{epoch}}}"), "{epoch}{7}");
  for (const char* wrong : {"{", "}", "a{epoch", "a}b", "{}", "{:d}", "{epoch:x}", "{epoch:.2d}", "{loss:d}",
                            "{loss:.f}", "{loss:.2}", "{loss:3}", "{loss:.2f", "{loss!r}", "{{epoch}",
                            "{loss:{epoch}}", "{loss:.200f}", "{loss:n}", "{epoch:-d}"}) {
    EXPECT_THROW(fill(wrong), UsageError) << wrong;
  }
  EXPECT_THAT(message_of<UsageError>([&] { fill("{epoch}-{val_acc:.2f}"); }),
              AllOf(HasSubstr("'{epoch}-{val_acc:.2f}'"), HasSubstr("no 'val_acc'")));
  EXPECT_THROW(ModelCheckpoint("{epoch:02x}"), UsageError);  // before any training
}

}  // namespace
}  // namespace gpunn
