// The float kernels of every cell, on every instruction set, against the oracle.
#include "tests/rnn/rnn_run.hpp"

namespace gpunn::cpu::simd {
namespace {

using Param = std::tuple<Isa, RnnCell>;

class RnnSequenceTest : public ::testing::TestWithParam<Param> {
 protected:
  void SetUp() override {
    set_ = kernels_for(std::get<0>(GetParam()));
    if (!set_) GTEST_SKIP() << "this processor lacks the instruction set";
  }
  const Kernels& kernels() const { return *set_; }
  RnnCell cell() const { return std::get<1>(GetParam()); }
  RnnShape shape(std::int64_t rows, std::int64_t steps, std::int64_t input, std::int64_t units) const {
    return {.cell = cell(), .rows = rows, .steps = steps, .input = input, .units = units};
  }

 private:
  const Kernels* set_ = nullptr;
};

TEST_P(RnnSequenceTest, SizesAroundTilesAndVectors) {
  const std::int64_t sizes[][4] = {
      // rows, steps, input, units
      {1, 1, 1, 1},   {2, 3, 1, 1},    {3, 9, 2, 7},    {5, 2, 7, 3},    {4, 6, 15, 8},   {7, 5, 16, 15},
      {8, 5, 17, 16}, {9, 4, 8, 17},   {15, 3, 9, 31},  {16, 20, 5, 32}, {17, 2, 33, 33}, {8, 100, 10, 64},
      {1, 150, 4, 9}, {33, 2, 64, 64}, {3, 3, 49, 100}, {200, 2, 3, 5},  {6, 2, 48, 128}, {2, 2, 20, 512},
  };
  for (const auto& n : sizes)
    expect_matches(kernels(), random_problem(shape(n[0], n[1], n[2], n[3]), {.initial = true}));
}

TEST_P(RnnSequenceTest, GradientsComeFromTheSequenceTheLastStateOrBoth) {
  RnnShape s = shape(5, 40, 6, 19);
  expect_matches(kernels(), random_problem(s, {.dy = true, .last = true}));
  expect_matches(kernels(), random_problem(s, {.dy = false, .last = true}));
  s.sequences = false;
  expect_matches(kernels(), random_problem(s, {.initial = true, .last = true}));
  expect_matches(kernels(), random_problem(s, {.bias = false, .last = true}));
}

TEST_P(RnnSequenceTest, MasksAndDirection) {
  for (const bool reversed : {false, true}) {
    for (const bool sequences : {false, true}) {
      RnnShape s = shape(9, 21, 5, 18);
      s.reversed = reversed;
      s.sequences = sequences;
      expect_matches(kernels(), random_problem(s, {.initial = true, .mask = true, .last = true}));
    }
  }
}

TEST_P(RnnSequenceTest, DropoutMasksSharedOrPerGate) {
  const int gates = rnn_gates(cell());
  for (const int input_masks : {0, 1, gates}) {
    for (const int recurrent_masks : {0, 1, gates}) {
      RnnShape s = shape(6, 30, 18, 21);
      s.input_masks = input_masks;
      s.recurrent_masks = recurrent_masks;
      expect_matches(kernels(), random_problem(s, {.initial = true, .mask = input_masks == 1}));
    }
  }
}

TEST_P(RnnSequenceTest, EveryActivation) {
  for (int kind = 0; kind < kRnnActivations; ++kind) {
    SCOPED_TRACE(kind);
    // exp(exp(exp(c))) is no float for long.
    const bool explodes = cell() == RnnCell::lstm && kind == static_cast<int>(RnnActivation::exponential);
    RnnShape s = shape(3, explodes ? 1 : 3, 5, 18);
    s.activation = static_cast<RnnActivation>(kind);
    s.recurrent_activation = RnnActivation::hard_sigmoid;
    expect_matches(kernels(), random_problem(s, {.initial = true, .mask = true}), 2);
    s.recurrent_activation = s.activation;
    s.activation = RnnActivation::tanh;
    expect_matches(kernels(), random_problem(s, {.initial = true, .mask = true}), 2);
  }
}

TEST_P(RnnSequenceTest, InferenceNeedsNoStateAndGivesTheSameBits) {
  for (const bool sequences : {false, true}) {
    RnnShape s = shape(5, 70, 9, 20);
    s.sequences = sequences;
    const RnnProblem p = random_problem(s, {.initial = true, .mask = true});
    RnnProblem inference = p;
    inference.shape.training = false;
    EXPECT_EQ(kernels().rnn(cell()).state_floats_per_row(inference.shape), 0u);
    const FloatResults trained = run(kernels(), p), inferred = run(kernels(), inference);
    EXPECT_EQ(trained.y, inferred.y);
    EXPECT_EQ(trained.h_last, inferred.h_last);
    EXPECT_EQ(trained.c_last, inferred.c_last);
  }
}

TEST_P(RnnSequenceTest, GradientsAreAddedWhereAsked) {
  const RnnProblem p = random_problem(shape(9, 30, 10, 21), {.initial = true});
  std::mt19937 bits(7);
  RnnGradients before = reference::backward(p);
  for (Numbers* v :
       {&before.dx, &before.dkernel, &before.drecurrent, &before.dbias, &before.dh0, &before.dc0}) {
    *v = random_numbers(bits, static_cast<std::int64_t>(v->size()), 0.5);
  }
  if (cell() != RnnCell::lstm) before.dc0.clear();
  const RnnGradients g = reference::backward(p);
  const FloatResults got = run(kernels(), p, &before);
  const auto expect = [&](const Floats& values, const Numbers& old, const Numbers& gradient,
                          const char* what) {
    Numbers want = old;
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += gradient[i];
    expect_close(values, want, p.shape, what);
  };
  expect(got.dx, before.dx, g.dx, "dx");
  expect(got.dkernel, before.dkernel, g.dkernel, "dkernel");
  expect(got.drecurrent, before.drecurrent, g.drecurrent, "drecurrent");
  expect(got.dbias, before.dbias, g.dbias, "dbias");
  expect(got.dh0, before.dh0, g.dh0, "dh0");
  expect(got.dc0, before.dc0, g.dc0, "dc0");
}

// Row `row` of a problem, alone.
RnnProblem alone(const RnnProblem& p, std::int64_t row) {
  RnnProblem one = p;
  one.shape.rows = 1;
  const auto cut = [&](auto& v) {
    const auto n = static_cast<std::ptrdiff_t>(v.size()) / p.shape.rows;
    v.assign(v.begin() + row * n, v.begin() + (row + 1) * n);
  };
  cut(one.x), cut(one.h0), cut(one.c0), cut(one.mask), cut(one.dy), cut(one.dh_last), cut(one.dc_last);
  return one;
}

TEST_P(RnnSequenceTest, RowsDoNotKnowEachOther) {
  const RnnShape s = shape(15, 40, 9, 21);
  RnnProblem p = random_problem(s, {.initial = true, .mask = true, .last = true});
  const FloatResults clean = run(kernels(), p);
  const auto row_of = [&](const Floats& v, std::int64_t row) {
    const auto n = static_cast<std::ptrdiff_t>(v.size()) / s.rows;
    return Floats(v.begin() + row * n, v.begin() + (row + 1) * n);
  };
  for (const std::int64_t row : {0, 7, 14}) {
    const FloatResults one = run(kernels(), alone(p, row));
    EXPECT_EQ(one.y, row_of(clean.y, row));
    EXPECT_EQ(one.dx, row_of(clean.dx, row));
    EXPECT_EQ(one.dh0, row_of(clean.dh0, row));
    EXPECT_EQ(one.dc0, row_of(clean.dc0, row));
  }
  // NaN stays in its row, and does stay there.
  for (double& x : p.h0) x = std::nan("");
  std::copy_n(random_numbers(*std::make_unique<std::mt19937>(5), s.units, 0.1).begin(), s.units,
              p.h0.begin());
  const FloatResults sick = run(kernels(), p), healthy = run(kernels(), alone(p, 0));
  EXPECT_EQ(row_of(sick.y, 0), healthy.y);
  EXPECT_EQ(row_of(sick.dx, 0), healthy.dx);
  EXPECT_TRUE(std::isnan(sick.y.back()));
}

TEST_P(RnnSequenceTest, WhatStandsInMaskedStepsIsNeverRead) {
  const RnnShape s = shape(4, 6, 3, 5);
  RnnProblem p = random_problem(s, {.mask = true});
  const FloatResults clean = run(kernels(), p);
  for (std::int64_t i = 0; i < s.rows * s.steps; ++i) {
    for (std::int64_t k = 0; k < s.input; ++k) {
      if (!p.mask[static_cast<std::size_t>(i)]) p.x[static_cast<std::size_t>(i * s.input + k)] = std::nan("");
    }
  }
  const FloatResults padded = run(kernels(), p);
  EXPECT_EQ(clean.y, padded.y);
  EXPECT_EQ(clean.dkernel, padded.dkernel);
  EXPECT_EQ(clean.dx, padded.dx);
}

TEST_P(RnnSequenceTest, SaturatedGatesAreExact) {
  RnnProblem p = random_problem(shape(3, 4, 2, 17), {.initial = true});
  for (std::size_t i = 0; i < p.bias.size(); ++i)
    p.bias[i] = i % 17 % 2 ? 300 : -300;  // exp(300) is no float
  const FloatResults got = run(kernels(), p);
  expect_close(got.y, reference::forward(p).y, p.shape, "y");
  for (const Floats* gradient : {&got.dx, &got.dkernel, &got.drecurrent, &got.dbias, &got.dh0, &got.dc0}) {
    for (const float v : *gradient) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST_P(RnnSequenceTest, NoStepsAndNoRows) {
  for (const auto& [rows, steps] : {std::pair{3, 0}, {0, 4}}) {
    expect_matches(kernels(), random_problem(shape(rows, steps, 3, 5), {.initial = true, .last = true}));
  }
}

std::string name_of(const ::testing::TestParamInfo<Param>& info) {
  const char* isas[] = {"base", "avx2", "avx512"};
  const char* cells[] = {"simple", "gru", "gru_reset_before", "lstm"};
  return std::string(isas[static_cast<int>(std::get<0>(info.param))]) + "_" +
         cells[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(Cells, RnnSequenceTest,
                         ::testing::Combine(::testing::Values(Isa::base, Isa::avx2, Isa::avx512),
                                            ::testing::Values(RnnCell::simple, RnnCell::gru,
                                                              RnnCell::gru_reset_before, RnnCell::lstm)),
                         name_of);

}  // namespace
}  // namespace gpunn::cpu::simd
