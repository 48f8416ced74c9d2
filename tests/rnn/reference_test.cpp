// The oracle against central differences, in double.
#include "tests/rnn/rnn_run.hpp"

namespace gpunn::cpu::simd {
namespace {

void expect_gradient(const RnnProblem& problem, Numbers RnnProblem::*input, const Numbers& gradient,
                     const char* what) {
  constexpr double kStep = 1e-5;
  double difference = 0, norm = 0;
  RnnProblem p = problem;
  ASSERT_EQ(gradient.size(), (p.*input).size()) << what;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    double& value = (p.*input)[i];
    const double at = value;
    value = at + kStep;
    const double above = reference::loss(p);
    value = at - kStep;
    const double below = reference::loss(p);
    value = at;
    const double slope = (above - below) / (2 * kStep);
    difference += (slope - gradient[i]) * (slope - gradient[i]);
    norm += slope * slope;
  }
  EXPECT_LE(std::sqrt(difference), 1e-6 * std::sqrt(norm)) << what << " of " << describe(problem.shape);
  EXPECT_GT(norm, 0) << what;
}

void expect_gradients(const RnnProblem& p) {
  const RnnGradients g = reference::backward(p);
  expect_gradient(p, &RnnProblem::x, g.dx, "dx");
  expect_gradient(p, &RnnProblem::kernel, g.dkernel, "dkernel");
  expect_gradient(p, &RnnProblem::recurrent, g.drecurrent, "drecurrent");
  expect_gradient(p, &RnnProblem::bias, g.dbias, "dbias");
  expect_gradient(p, &RnnProblem::h0, g.dh0, "dh0");
  if (p.shape.cell == RnnCell::lstm) expect_gradient(p, &RnnProblem::c0, g.dc0, "dc0");
}

class RnnReferenceTest : public ::testing::TestWithParam<RnnCell> {};

TEST_P(RnnReferenceTest, GradientsThroughTime) {
  for (const std::int64_t steps : {1, 2, 7, 100}) {
    const RnnShape s{.cell = GetParam(), .rows = 1, .steps = steps, .input = 2, .units = 3};
    expect_gradients(random_problem(s, {.initial = true, .last = true}));
  }
}

TEST_P(RnnReferenceTest, GradientsWithEveryOption) {
  const int gates = rnn_gates(GetParam());
  const RnnShape s{.cell = GetParam(),
                   .rows = 3,
                   .steps = 5,
                   .input = 4,
                   .units = 3,
                   .reversed = true,
                   .activation = RnnActivation::softsign,
                   .recurrent_activation = RnnActivation::softplus,
                   .input_masks = gates,
                   .recurrent_masks = gates};
  expect_gradients(random_problem(s, {.initial = true, .mask = true, .last = true}));
}

INSTANTIATE_TEST_SUITE_P(Cells, RnnReferenceTest,
                         ::testing::Values(RnnCell::simple, RnnCell::gru, RnnCell::gru_reset_before,
                                           RnnCell::lstm));

TEST(RnnReferenceTest, EveryActivationsSlope) {
  for (int kind = 0; kind < kRnnActivations; ++kind) {
    SCOPED_TRACE(kind);
    RnnShape s{.cell = RnnCell::gru, .rows = 2, .steps = 2, .input = 3, .units = 4};
    s.activation = s.recurrent_activation = static_cast<RnnActivation>(kind);
    expect_gradients(random_problem(s, {.initial = true}));
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
