// Networks of sequences on small batches, trained on a device: what its tests compare.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <gpunn/gpunn.hpp>
#include <string>
#include <vector>

#include "simt/simt.hpp"
#include "tests/cuda/on_sim.hpp"
#include "tests/support/same_bits.hpp"

namespace gpunn {

inline constexpr int kSteps = 12;
inline constexpr std::int64_t kBatch = 4, kSamples = 8, kVocabulary = 50;

// Token ids; the later rows padded with zeros behind.
inline Tensor tokens(std::int64_t steps) {
  Tensor x(Shape{kSamples, steps}, Dtype::i32);
  const auto ids = x.data<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / steps, step = static_cast<std::int64_t>(i) % steps;
    const float u = uniform01({.seed = 5, .stream = 1}, i);
    ids[i] = step > 0 && step >= steps - row % 4 ? 0 : 1 + static_cast<std::int32_t>(u * (kVocabulary - 1));
  }
  return x;
}

inline Tensor labels() {
  Tensor y(Shape{kSamples, 1});
  for (std::size_t i = 0; i < kSamples; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
  return y;
}

using Network = std::function<Symbolic(const Symbolic& ids)>;

inline Trained train(const std::string& device, std::int64_t steps, const Network& network) {
  const Symbolic ids = Input({steps}, {.dtype = Dtype::i32});
  Model model(ids, network(ids), {.device = device, .threads = 1});
  model.compile({.optimizer = Adam(), .loss = BinaryCrossentropy()});
  return train_steps(model, tokens(steps), labels(), kBatch, kSteps);
}

inline Symbolic chain(Symbolic x, const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) x = layer(x);
  return x;
}

inline void expect_close(const Trained& run, const Trained& reference) {
  ASSERT_EQ(run.losses.size(), reference.losses.size());
  for (std::size_t i = 0; i < run.losses.size(); ++i) {
    EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "step " << i;
  }
  const std::size_t last = run.losses.size() - 1;
  EXPECT_LT(run.losses[last - 1] + run.losses[last], run.losses[0] + run.losses[1]) << "it does not learn";
}

class CudaSequences : public OnSim {
 protected:
  void TearDown() override {
    OnSim::TearDown();
    simt::set_options(simt::Options::from_environment());
  }
};

}  // namespace gpunn
