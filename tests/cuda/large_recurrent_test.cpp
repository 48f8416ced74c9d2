// Networks with recurrent layers of more units than a block holds: by cuDNN's RNN, where it is reproducible,
// beside our steps and the CPU backend.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "tests/cuda/on_sim.hpp"
#include "tests/support/same_bits.hpp"

namespace gpunn {
namespace {

constexpr int kTrainedSteps = 20;

class LargeRecurrent : public OnSim {
 protected:
  void SetUp() override {
    OnSim::SetUp();
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2", 1);
  }
  void TearDown() override {
    unsetenv("CUBLAS_WORKSPACE_CONFIG");
    OnSim::TearDown();
  }

  static Tensor noise(const Shape& shape, std::uint32_t stream) {
    Tensor x(shape);
    const auto values = x.data<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = 2 * uniform01({.seed = 3, .stream = stream}, i) - 1;
    return x;
  }
  static Sequential network(const std::string& device, const Layer& recurrent, const Layer& second) {
    Sequential model({Input({3, 5}), recurrent, second, Dense(2)}, {.device = device, .threads = 1});
    model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
    return model;
  }
  using Layers = std::function<std::pair<Layer, Layer>()>;
  static Trained train(const std::string& device, const Layers& layers, int steps = kTrainedSteps) {
    const auto [first, second] = layers();
    Sequential model = network(device, first, second);
    return train_steps(model, noise(Shape{6, 3, 5}, 1), noise(Shape{6, 2}, 2), 3, steps);
  }
  static void expect_close(const Trained& run, const Trained& reference) {
    ASSERT_EQ(run.losses.size(), reference.losses.size());
    for (std::size_t i = 0; i < run.losses.size(); ++i)
      EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "step " << i;
    EXPECT_NE(run.losses.back(), run.losses.front()) << "it does not train";
  }
};

TEST_F(LargeRecurrent, TwentyStepsFollowOurStepsAndTheCpu) {
  const Layers cases[] = {
      [] { return std::pair<Layer, Layer>(GRU(129, {.return_sequences = true}), LSTM(130)); },
      [] {
        return std::pair<Layer, Layer>(LSTM(129, {.return_sequences = true, .go_backwards = true}), GRU(20));
      },
      [] {
        return std::pair<Layer, Layer>(GRU(133, {.dropout = 0.2, .return_sequences = true}), SimpleRNN(160));
      },
  };
  for (const Layers& layers : cases) {
    const Trained by_library = train("sim", layers);
    expect_close(by_library, train("cpu", layers));
    expect_close(by_library, train("sim-own", layers));
  }
}

TEST_F(LargeRecurrent, NoBitChangesWithCaptureAndBranches) {
  const Layers layers = [] {
    return std::pair<Layer, Layer>(GRU(129, {.return_sequences = true}), LSTM(130));
  };
  const Trained first = train("sim", layers, 4);
  for (const char* device : {"sim", "sim-eager", "sim-serial"})
    expect_same_bits(train(device, layers, 4), first);
}

TEST_F(LargeRecurrent, ThePlanNamesTheChoiceAndTheReason) {
  const auto choices = [](const std::string& device) {
    const Sequential model = network(device, GRU(256, {.return_sequences = true}), LSTM(130));
    std::vector<std::string> found;
    const auto plan = nlohmann::json::parse(model.plan({.batch_size = 3}).json);
    for (const auto& step : plan["steps"]) {
      if (step["op"].get<std::string>().rfind("recurrent", 0) == 0)
        found.push_back(step["implementation"].get<std::string>() + ": " + step["why"].get<std::string>());
    }
    return found;
  };
#if GPUNN_HAVE_CUDNN
  const std::string by = ", more than 128; cuDNN's RNN, reproducible by CUBLAS_WORKSPACE_CONFIG=:4096:2";
  EXPECT_EQ(choices("sim"),
            (std::vector<std::string>{"cudnn rnn: 256 units" + by, "cudnn rnn: 130 units" + by,
                                      "cudnn rnn: 130 units" + by, "cudnn rnn: 256 units" + by}));
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
  for (const std::string& choice : choices("sim")) {
    EXPECT_EQ(choice.rfind("per step: ", 0), 0u) << choice;
    EXPECT_NE(choice.find("cuDNN's RNN is not reproducible here: set CUBLAS_WORKSPACE_CONFIG to :4096:2 or "
                          ":16:8"),
              std::string::npos)
        << choice;
  }
#endif
  for (const std::string& choice : choices("sim-own")) {
    EXPECT_EQ(choice.rfind("per step: ", 0), 0u) << choice;
    EXPECT_NE(choice.find("libraries are switched off"), std::string::npos) << choice;
  }
}

#if GPUNN_HAVE_CUDNN

// Each call fails in the forward node, then in the next one: never in silence, never half by cuDNN.
TEST_F(LargeRecurrent, EveryFailedCallIsAnErrorAndTheModelGoesOn) {
  const Layers layers = [] {
    return std::pair<Layer, Layer>(GRU(129, {.return_sequences = true}), LSTM(129));
  };
  const Trained clean = train("sim", layers, 2);
  const long objects = simt::live_library_objects();
  for (const char* call :
       {"cudnnCreateDropoutDescriptor", "cudnnSetDropoutDescriptor", "cudnnCreateTensorDescriptor",
        "cudnnCreateRNNDescriptor", "cudnnSetRNNDescriptor_v8", "cudnnCreateRNNDataDescriptor",
        "cudnnSetRNNDataDescriptor", "cudnnSetTensorNdDescriptor", "cudnnGetTensorNdDescriptor",
        "cudnnGetRNNWeightSpaceSize", "cudnnGetRNNTempSpaceSizes", "cudnnGetRNNWeightParams",
        "cudnnRNNForward", "cudnnRNNBackwardData_v8", "cudnnRNNBackwardWeights_v8"}) {
    for (const int skip : {0, 1}) {
      const auto [first, second] = layers();
      Sequential model = network("sim", first, second);
      const auto step = [&] {
        return train_steps(model, noise(Shape{6, 3, 5}, 1), noise(Shape{6, 2}, 2), 3, 2).losses;
      };
      simt::inject_faults(R"({"cudaRuntimeFaults": {")" + std::string(call) +
                          R"(": {"injectionType": 2, "interceptionCount": 1, "skip": )" +
                          std::to_string(skip) + R"(, "substituteReturnCode": )" +
                          std::to_string(cudaErrorUnknown) + "}}}");
      EXPECT_THROW(step(), DeviceError) << call;
      simt::inject_faults("");
      for (const double loss : step()) EXPECT_TRUE(std::isfinite(loss)) << call;
    }
    EXPECT_EQ(simt::live_library_objects(), objects) << call;
  }
  expect_same_bits(train("sim", layers, 2), clean);
}

#endif

}  // namespace
}  // namespace gpunn
