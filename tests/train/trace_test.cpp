#include "gpunn/trace.hpp"

#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>

#include "src/core/trace.hpp"
#include "tests/support/files.hpp"
#include "tests/support/trace.hpp"

namespace gpunn {
namespace {

using testing::ReadTrace;

const std::vector<std::string> kOrder = {"step", "phase", "region", "slice", "layer"};

class TraceTest : public ::testing::Test {
 protected:
  TempDir folder;
  std::filesystem::path file = folder.path() / "trace.json";

  Sequential model = make();
  Tensor x{Shape{64, 6}}, y{Shape{64, 1}};

  static Sequential make() {
    Sequential made(
        {Input({6}), Dense(64, {.activation = relu, .name = "first"}), Dense(1, {.name = "last"})},
        {.device = "cpu", .threads = 2});
    made.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
    return made;
  }
  void SetUp() override {
    for (std::size_t i = 0; i < x.data<float>().size(); ++i)
      x.data<float>()[i] = 0.01f * static_cast<float>(i % 37);
  }
  void fit(int epochs) { fit(model, epochs); }
  void fit(Model& which, int epochs) {
    which.fit(x, y, FitOptions{.epochs = epochs, .batch_size = 16, .verbose = Verbose::silent});
  }
};

TEST_F(TraceTest, NamesEveryLayerOfEveryStepAndRangesNest) {
  {
    const Trace trace({.file = file});
    fit(2);
  }
  const ReadTrace read(file);
  read.expect_nested(kOrder);
  std::set<std::string> steps;
  for (int i = 0; i < 8; ++i) steps.insert("step " + std::to_string(i));
  EXPECT_EQ(read.names("step"), steps);
  for (const char* layer : {"first", "last", "loss"})
    EXPECT_EQ(read.names("layer").count(layer), 1u) << layer;
  EXPECT_EQ(read.names("phase"), (std::set<std::string>{"gradients", "reduce", "update"}));
  EXPECT_GE(read.count("slice"), 8u);
}

TEST_F(TraceTest, TheFileIsWholeAfterEveryStepAndAfterAnError) {
  struct Reads final : Callback {
    explicit Reads(std::filesystem::path from) : file(std::move(from)) {}
    bool wants_batches() const override { return true; }
    void on_train_batch_end(Model&, std::int64_t batch, const Logs&) override {
      EXPECT_NO_THROW(ReadTrace{file});
      if (batch == 2) throw std::runtime_error("on purpose");
    }
    std::filesystem::path file;
  };
  EXPECT_THROW(
      {
        const Trace trace({.file = file});
        model.fit(x, y,
                  FitOptions{.epochs = 1,
                             .batch_size = 16,
                             .callbacks = {std::make_shared<Reads>(file)},
                             .verbose = Verbose::silent});
      },
      std::runtime_error);
  EXPECT_EQ(ReadTrace(file).names("step"), (std::set<std::string>{"step 0", "step 1", "step 2"}));
}

TEST_F(TraceTest, AWindowOfSteps) {
  Trace trace({.file = file, .first_step = 2, .last_step = 5});
  fit(3);
  trace.close();
  EXPECT_EQ(ReadTrace(file).names("step"), (std::set<std::string>{"step 2", "step 3", "step 4"}));
  const auto size = std::filesystem::file_size(file);
  fit(1);  // recorded no more
  EXPECT_EQ(std::filesystem::file_size(file), size);
}

TEST_F(TraceTest, ChangesNoBit) {
  Sequential plain = make();
  fit(plain, 2);
  {
    const Trace trace({.file = file});
    fit(2);
  }
  for (const std::string& name : model.weight_names()) {
    const Tensor a = model.weight(name), b = plain.weight(name);
    const auto left = std::as_const(a).data<float>(), right = std::as_const(b).data<float>();
    EXPECT_TRUE(std::equal(left.begin(), left.end(), right.begin(), right.end())) << name;
  }
}

// Names are the user's: whatever stands in them, the file is JSON.
TEST_F(TraceTest, NamesAreEscaped) {
  {
    const Trace recording({.file = file});
    const trace::Range range({"layer", "a \"name\" \\ of\ttwo\nlines", "an op"});
  }
  EXPECT_EQ(ReadTrace(file).names("layer"), (std::set<std::string>{"a \"name\" \\ of\ttwo\nlines"}));
}

TEST_F(TraceTest, RefusesWhatItCannotDo) {
  EXPECT_THROW(Trace({.file = folder.path() / "no" / "folder"}), FileError);
  EXPECT_THROW(Trace({.first_step = 5, .last_step = 5}), UsageError);
  const Trace one({});
  EXPECT_THROW(Trace({}), UsageError);
}

}  // namespace
}  // namespace gpunn
