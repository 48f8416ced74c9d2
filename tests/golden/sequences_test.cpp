// Layers over sequences against Keras: tests/support/sequences_golden.hpp, stateful_golden.hpp.
#include "tests/support/sequences_golden.hpp"
#include "tests/support/stateful_golden.hpp"

namespace gpunn::golden {
namespace {

class GoldenSequences : public ::testing::TestWithParam<Kind> {};

TEST_P(GoldenSequences, OutputsAndGradientsAreKeras) {
  expect_sequences(GetParam(), "cpu");
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenSequences, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.family; });

TEST(GoldenEmbedding, OutputsAndGradientsAreKeras) {
  expect_embeddings("cpu");
}

TEST(GoldenStateful, OutputsGradientsAndStatesAreKeras) {
  expect_stateful("cpu");
}

}  // namespace
}  // namespace gpunn::golden
