// Keras's values of layers over sequences, and of networks of them in training, on the software CUDA device:
// tests/support/sequences_golden.hpp, stateful_golden.hpp, training_golden.hpp.

#include <gtest/gtest.h>

#include "tests/cuda/sequences.hpp"
#include "tests/support/sequences_golden.hpp"
#include "tests/support/stateful_golden.hpp"
#include "tests/support/training_golden.hpp"

namespace gpunn {
namespace {

class CudaSequencesGolden : public CudaSequences, public ::testing::WithParamInterface<golden::Kind> {};

TEST_P(CudaSequencesGolden, OutputsAndGradientsAreKeras) {
  golden::expect_sequences(GetParam(), "sim");
}

INSTANTIATE_TEST_SUITE_P(Families, CudaSequencesGolden, ::testing::ValuesIn(golden::kKinds),
                         [](const auto& info) { return info.param.family; });

TEST_F(CudaSequences, EmbeddingsAreKeras) {
  golden::expect_embeddings("sim");
}

TEST_F(CudaSequences, StatefulLayersAreKeras) {
  golden::expect_stateful("sim");
}

class CudaTokenTraining : public CudaSequences, public ::testing::WithParamInterface<golden::TokenNetwork> {};

TEST_P(CudaTokenTraining, LossesAreKeras) {
  golden::expect_token_training(GetParam(), "sim");
}

INSTANTIATE_TEST_SUITE_P(Networks, CudaTokenTraining, ::testing::ValuesIn(golden::kTokenNetworks),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gpunn
