// load_model() against thousands of damaged models: weights that are right beside JSON in which numbers,
// words and whole branches are not. Each is loaded, or refused with a DataError that names the file; what is
// loaded can be planned, run and saved again.
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "gpunn/gpunn.hpp"
#include "src/core/host_memory.hpp"
#include "tests/support/files.hpp"

namespace gpunn {
namespace {

using Json = nlohmann::ordered_json;

class JsonMutator {
 public:
  explicit JsonMutator(std::uint32_t seed) : random_(seed) {}

  void operator()(Json& json) {
    for (std::size_t times = below(8) == 0 ? 2 : 1; times > 0; --times) mutate(pick(json));
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  // Every branch is as likely.
  Json& pick(Json& json) {
    std::vector<Json*> branches{&json};
    for (std::size_t i = 0; i < branches.size(); ++i) {
      if (!branches[i]->is_structured()) continue;
      for (Json& child : *branches[i]) branches.push_back(&child);
    }
    return *branches[below(branches.size())];
  }

  void mutate(Json& json) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const std::vector<Json> sharp = {0,
                                     1,
                                     2,
                                     -1,
                                     7,
                                     64,
                                     70,
                                     std::int64_t{1} << 31,
                                     std::int64_t{1} << 32,
                                     (std::int64_t{1} << 32) - 1,
                                     std::int64_t{1} << 40,
                                     std::int64_t{1} << 47,
                                     std::int64_t{1} << 62,
                                     kMost,
                                     -kMost - 1,
                                     std::numeric_limits<std::uint64_t>::max(),
                                     0.5,
                                     -1e308,
                                     nullptr,
                                     true,
                                     "",
                                     "none",
                                     "same",
                                     "causal",
                                     "softmax",
                                     "accuracy",
                                     "Masking",
                                     Json::array(),
                                     Json::object(),
                                     Json::array({std::int64_t{1} << 32, std::int64_t{1} << 32, -1})};
    if (json.is_array() && !json.empty() && below(2) == 0) {
      const Json& copied = json[below(json.size())];
      const Json copies = Json(std::vector<Json>(1 + below(80), copied));
      json.insert(json.end(), copies.begin(), copies.end());
    } else if (json.is_object() && !json.empty() && below(2) == 0) {
      auto child = json.begin();
      std::advance(child, static_cast<std::ptrdiff_t>(below(json.size())));
      json.erase(child);
    } else {
      json = sharp[below(sharp.size())];
    }
  }

  std::mt19937 random_;
};

Sequential trained(const std::vector<Layer>& layers, const Loss& loss, Dtype labels) {
  Sequential model(layers, {.device = "cpu", .threads = 1});
  model.compile({.optimizer = Adam(), .loss = loss, .metrics = {accuracy}});
  const Symbolic& input = *layers[0].input();
  model.train_on_batch(Tensor(input.shape().with_front(2), input.dtype()), Tensor(Shape{2}, labels));
  return model;
}

std::vector<io::SafetensorsFile> seeds(const std::filesystem::path& path) {
  const Loss classes = SparseCategoricalCrossentropy(), binary = BinaryCrossentropy();
  std::vector<Sequential> models;
  models.push_back(trained({Input({4}), Reshape({2, -1}), Flatten(), Dense(3, {.activation = relu}),
                            BatchNormalization(), Dropout(0.5), Dense(2, {.activation = softmax})},
                           classes, Dtype::i32));
  models.push_back(trained({Input({8, 8, 1}), Conv2D(4, 3, {.padding = pad(1)}), MaxPooling2D(),
                            Conv2D(4, {2, 3}, {.padding = same, .dilation_rate = 2, .groups = 2}),
                            AveragePooling2D(2, {.strides = 1, .padding = same}), GlobalMaxPooling2D(),
                            Dense(1, {.activation = sigmoid})},
                           binary, Dtype::f32));
  models.push_back(trained(
      {Input({6}, {.dtype = Dtype::i32}), Embedding(5, 3, {.mask_zero = true}),
       Bidirectional(GRU(2, {.return_sequences = true})), TimeDistributed(Dense(3)),
       Conv1D(2, 2, {.padding = causal}), MaxPooling1D(2), LSTM(2), Dense(1, {.activation = sigmoid})},
      binary, Dtype::f32));
  std::vector<io::SafetensorsFile> files;
  for (const Sequential& model : models) {
    model.save(path);
    files.push_back(io::load_safetensors(path));
  }
  return files;
}

// What was accepted must work, if it is not too large to be tried.
void use(Model& model, const Shape& input, Dtype dtype, const std::filesystem::path& copy) {
  model.save(copy);
  static_cast<void>(load_model(copy, {.device = "cpu"}));
  ASSERT_FALSE(model.summary().empty());
  // Not compiled, larger than any memory, or of another shape than the samples: an Error of ours.
  const auto fits = [&](const char* mode) {
    try {
      const Json plan = Json::parse(model.plan({.mode = mode, .batch_size = 2}).json);
      return plan["memory"]["total"] < 1e7;
    } catch (const Error&) {
      return false;
    }
  };
  const Tensor x(input.with_front(2), dtype), y(Shape{2, 1});
  try {
    if (fits("predict")) static_cast<void>(model.predict(x));
    if (fits("train")) static_cast<void>(model.train_on_batch(x, y));
  } catch (const Error&) {
  }
}

TEST(Fuzz, Models) {
  const TempDir dir;
  const auto path = dir / "fuzzed";
  const std::vector<io::SafetensorsFile> files = seeds(dir / "seed");
  set_log_level(LogLevel::off);
  const Shape kInputs[] = {{4}, {8, 8, 1}, {6}};
  // Others: --gtest_shuffle --gtest_random_seed=N.
  JsonMutator mutate(static_cast<std::uint32_t>(testing::UnitTest::GetInstance()->random_seed()));
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t blocks = live_host_blocks();
  int accepted = 0, refused = 0;
  for (int i = 0; i < 6000 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(4); ++i) {
    const io::SafetensorsFile& seed = files[static_cast<std::size_t>(i) % files.size()];
    Json json = Json::parse(seed.metadata.at("gpunn_model"));
    mutate(json);
    io::save_safetensors(path, seed.tensors, {{"gpunn_model", json.dump()}});
    try {
      Model model = load_model(path, {.device = "cpu", .threads = 1});
      ++accepted;
      const Dtype dtype = i % 3 == 2 ? Dtype::i32 : Dtype::f32;
      use(model, kInputs[i % 3], dtype, dir / "copy");
    } catch (const DataError& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find("fuzzed"), std::string::npos) << error.what();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << "\n" << json.dump(1);
    }
    if (testing::Test::HasFailure()) break;
  }
  set_log_level(LogLevel::info);
  EXPECT_EQ(live_host_blocks(), blocks);
  EXPECT_GT(refused, 100);
  EXPECT_GT(accepted, 10);
}

}  // namespace
}  // namespace gpunn
