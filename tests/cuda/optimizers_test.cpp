// Optimizers on the software device, over parameters of one and of many pieces, beside the CPU backend.
#include <gtest/gtest.h>

#include <cmath>
#include <gpunn/gpunn.hpp>

#include "simt/simt.hpp"
#include "tests/cuda/on_sim.hpp"
#include "tests/support/trained.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kBatch = 8;

Tensor noise(const Shape& shape, std::uint32_t stream) {
  Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 2 * uniform01({.seed = 7, .stream = stream}, i) - 1;
  return x;
}

// Kernels of 2 whole pieces, of 9 and a piece of 768, and of less than one.
Sequential make_model(const std::string& device, const Optimizer& optimizer) {
  Sequential model({Input({64}), Dense(64, {.activation = tanh}), Dense(300, {.activation = tanh}), Dense(4)},
                   {.device = device, .threads = 1});
  model.compile({.optimizer = optimizer, .loss = MeanSquaredError()});
  return model;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = double{a[i]} - double{b[i]};
    sum += d * d;
  }
  return std::sqrt(sum);
}

using CudaOptimizers = OnSim;

TEST_F(CudaOptimizers, ClippingBringsTheNormOfAllParametersDown) {
  constexpr double kNorm = 0.05;
  const Tensor x = noise(Shape{kBatch, 64}, 1), y = noise(Shape{kBatch, 4}, 2);
  const auto step = [&](const std::string& device, const Optimizer& optimizer) {
    Sequential model = make_model(device, optimizer);
    const std::vector<float> before = weights_of(model);
    model.train_on_batch(x, y);
    const std::vector<float> after = weights_of(model);
    return std::pair{distance(before, after), after};
  };
  // With a rate of 1 the weights move by the gradient.
  const Optimizer plain = SGD({.learning_rate = 1}),
                  clipped = SGD({.learning_rate = 1, .global_clipnorm = kNorm});
  EXPECT_GT(step("cpu", plain).first, 4 * kNorm) << "else there is nothing to clip";
  const auto [moved, weights] = step("cpu", clipped);
  EXPECT_NEAR(moved, kNorm, 1e-4 * kNorm);
  for (const char* device : {"sim", "sim-own"}) {
    const auto [moved_there, weights_there] = step(device, clipped);
    EXPECT_NEAR(moved_there, kNorm, 1e-4 * kNorm) << device;
    EXPECT_LT(distance(weights_there, weights), 1e-5 * kNorm) << device;
  }
}

// Queued, captured and replayed; the third batch is finite, and its gradients are not.
TEST_F(CudaOptimizers, AStepWhoseGradientsAreNotFiniteChangesNothing) {
  const Tensor y = noise(Shape{kBatch, 4}, 2);
  const auto train = [&](const std::string& device, const Optimizer& optimizer, std::vector<float>& before) {
    Sequential model = make_model(device, optimizer);
    for (int step = 0; step < 6; ++step) {
      Tensor x = noise(Shape{kBatch, 64}, static_cast<std::uint32_t>(step));
      Tensor labels = y.clone();
      if (step == 2) labels.data<float>()[5] = 3e38f;
      if (step == 2) before = weights_of(model);
      const double loss = model.train_on_batch(x, labels)["loss"];
      EXPECT_EQ(std::isfinite(loss), optimizer.skip_nonfinite ? step != 2 : step < 2) << step;
      if (step == 2) {
        EXPECT_EQ(optimizer.skip_nonfinite, weights_of(model) == before) << device;
      }
    }
    return weights_of(model);
  };
  for (const Optimizer& optimizer :
       {SGD({.momentum = 0.9, .nesterov = true, .weight_decay = 0.01, .skip_nonfinite = true}),
        Adam({.global_clipnorm = 1.0, .skip_nonfinite = true}), AdamW({.skip_nonfinite = true})}) {
    std::vector<float> before, before_there;
    const std::vector<float> weights = train("cpu", optimizer, before);
    EXPECT_GT(distance(weights, before), 0.01) << "it goes on";
    for (const char* device : {"sim", "sim-own"}) {
      const std::vector<float> there = train(device, optimizer, before_there);
      EXPECT_LT(distance(there, weights), 1e-4 * distance(weights, before)) << device;
    }
  }
  std::vector<float> before;
  EXPECT_TRUE(std::isnan(train("cpu", Adam({.global_clipnorm = 1.0}), before)[0]))
      << "else nothing was skipped";
}

}  // namespace
}  // namespace gpunn
