// Keras's values of layers over sequences on the software CUDA device: tests/support/sequences_golden.hpp.

#include <gtest/gtest.h>

#include "tests/cuda/sequences.hpp"
#include "tests/support/sequences_golden.hpp"
#include "tests/support/stateful_golden.hpp"

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

}  // namespace
}  // namespace gpunn
