#include "kernels/recurrent.hpp"

#include "kernels/gemm.hpp"
#include "kernels/launch_shape.hpp"
#include "kernels/recurrent_steps.hpp"
#include "tests/kernels/recurrent_reference.hpp"

namespace gpunn::kernels {
namespace {

// Everything a layer would ask for, by the whole-sequence kernels or step by step with products between.
Floats on_device(const RecurrentProblem& p, const Way& way, bool step_by_step) {
  const RecurrentShape shape = p.c.shape();
  const std::int64_t U = shape.units, T = shape.steps, G = p.gates(), R = shape.rows;
  const bool lstm = p.lstm();
  Array<float> x(way, side_by_side(p.x, G, U)), u(way, side_by_side(p.u, G, U)), bias(way, p.bias),
      h0(way, p.h0), c0(way, p.c0), dy(way, p.dy);
  Array<float> dh_last(way, p.dh_last), dc_last(way, p.dc_last);
  Array<std::uint8_t> mask(way, p.mask);
  Array<float> y(way, size(R * T * U)), kept(way, size(R * T * 4 * U)),
      cells(way, lstm ? size(R * T * U) : 0);
  Array<float> h_last(way, size(R * U)), c_last(way, lstm ? size(R * U) : 0), dx(way, p.x.size()),
      ds(way, p.x.size());
  Array<float> h_before(way, size(R * T * U)), dh0(way, p.h0), dc0(way, p.c0), du(way, p.u.size());
  const RecurrentForward f{x, u, bias, h0, c0, mask, y, kept, cells, h_last, c_last};
  const RecurrentBackward b{u,       h0,      c0, mask, y,        kept, cells, dy,
                            dh_last, dc_last, dx, ds,   h_before, dh0,  dc0};
  if (!step_by_step) {
    recurrent_forward(way.gpu, shape, f);
    recurrent_backward(way.gpu, shape, b);
  } else {
    Array<float> s(way, size(R * G * U)), flow(way, size(R * U)), cell(way, lstm ? size(R * U) : 0),
        back(way, size(R * U));
    Array<float> scratch(way,
                         size(std::max(gemm_scratch_floats(R, G * U, U), gemm_scratch_floats(R, U, G * U))));
    RecurrentSteps steps;
    steps.shape = shape;
    const RecurrentState state{h_last, c_last, nullptr, s, nullptr};
    recurrent_steps_begin(way.gpu, steps, h0, c0, state);
    for (std::int64_t t = 0; t < T; ++t) {
      gemm(way.gpu, {Layout::nn, R, G * U, U}, h_last, u, {.bias = bias}, s, scratch);
      recurrent_step_forward(way.gpu, steps, t, f, state);
    }
    const RecurrentFlow back_flow{flow, cell, back, s};
    for (std::int64_t t = T - 1; t >= 0; --t) {
      recurrent_step_backward(way.gpu, steps, t, b, back_flow);
      gemm(way.gpu, {Layout::nt, R, U, G * U}, s, u, {}, back, scratch);
    }
    recurrent_steps_end(way.gpu, steps, b, back_flow);
  }
  Array<float> scratch(way, size(gemm_scratch_floats(U, G * U, R * T)));
  gemm(way.gpu, {Layout::tn, U, G * U, R * T}, h_before, ds, {}, du, scratch);
  return join({y.read(), h_last.read(), c_last.read(), side_by_side(dx.read(), G, U, true),
               side_by_side(du.read(), G, U, true), dh0.read(), dc0.read()});
}

constexpr RecurrentCase kCases[] = {
    // rows, steps, units, masked, reversed, biased
    {RecurrentCell::gru, 3, 7, 5, false, false, true},
    {RecurrentCell::gru, 2, 5, 32, true, true, true},
    {RecurrentCell::gru, 2, 4, 33, true, false, true},
    {RecurrentCell::gru, 2, 3, 64, false, false, true},
    {RecurrentCell::gru, 1, 3, 65, false, false, true},
    {RecurrentCell::gru, 1, 2, 128, false, false, true},
    {RecurrentCell::lstm, 3, 7, 5, true, true, false},
    {RecurrentCell::lstm, 2, 4, 31, false, false, false},
    {RecurrentCell::lstm, 2, 3, 64, true, false, false},
    {RecurrentCell::lstm, 1, 3, 127, false, false, false},
    {RecurrentCell::lstm, 1, 1, 1, false, false, false},
    {RecurrentCell::gru, 0, 4, 8, false, false, true},
};

class RecurrentTest : public testing::TestWithParam<RecurrentCase> {};

TEST_P(RecurrentTest, SequencesAndTheirGradients) {
  const RecurrentProblem p = make(GetParam());
  const Values v = values_of(p);
  const Outcome want = run(p, v);
  for (const bool step_by_step : {false, true}) {
    const Floats all = everywhere([&](const Way& way) { return on_device(p, way, step_by_step); });
    std::size_t at = 0;
    const auto next = [&](std::size_t n) { return part(all, (at += n) - n, n); };
    expect_near(next(want.y.size()), want.y, 1e-5, 2e-6);
    expect_near(next(want.h.size()), want.h, 1e-5, 2e-6);
    expect_near(next(want.c.size()), want.c, 1e-5, 2e-6);
    const std::pair<Doubles Values::*, std::size_t> gradients[] = {{&Values::x, p.x.size()},
                                                                   {&Values::u, p.u.size()},
                                                                   {&Values::h0, p.h0.size()},
                                                                   {&Values::c0, p.c0.size()}};
    for (const auto& [which, n] : gradients) {
      const Floats got = next(n);
      if (p.c.rows == 0) continue;
      const std::vector<std::size_t> elements = every(n, 1 + n / 12);
      Floats chosen;
      for (const std::size_t i : elements) chosen.push_back(got[i]);
      expect_near(chosen, differences(p, v, which, elements), 2e-4, 2e-5);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, RecurrentTest, testing::ValuesIn(kCases));

// A device with fewer blocks than rows: shared memory is used again.
TEST(RecurrentSequenceTest, ABlockTakesSeveralRows) {
  for (const RecurrentCell cell : {RecurrentCell::gru, RecurrentCell::lstm}) {
    const RecurrentProblem p = make({cell, 2 * kBlocksPerMultiprocessor + 1, 3, 5});
    const Floats all = everywhere([&](const Way& way) { return on_device(p, way, false); });
    EXPECT_EQ(all, on_device(p, {Gpu{nullptr, 40}, 0}, false));
  }
}

// Inference has no use for most of what forward can write, and few layers for all of backward's.
TEST(RecurrentSequenceTest, WhatIsNotWantedIsNotWritten) {
  for (const RecurrentCell cell : {RecurrentCell::gru, RecurrentCell::lstm}) {
    const bool lstm = cell == RecurrentCell::lstm;
    const RecurrentProblem p = make({cell, 2, 3, 5, true, false, !lstm});
    const RecurrentShape shape = p.c.shape();
    const auto states = p.h0.size(), sequence = p.dy.size();
    const Way way{};
    Array<float> x(way, p.x), u(way, p.u), bias(way, p.bias), h0(way, p.h0), c0(way, p.c0), dy(way, p.dy);
    Array<std::uint8_t> mask(way, p.mask);
    Array<float> y(way, sequence), kept(way, 4 * sequence), cells(way, lstm ? sequence : 0), h(way, states),
        c(way, lstm ? states : 0), only_h(way, states), only_y(way, sequence), dx(way, p.x.size()),
        ds(way, p.x.size()), h_before(way, sequence), dh0(way, states), dc0(way, lstm ? states : 0),
        only_dx(way, p.x.size());
    RecurrentForward f{x, u, bias, h0, c0, mask, y, kept, cells, h, c};
    recurrent_forward(way.gpu, shape, f);
    f.y = f.kept = f.cells = f.c_last = nullptr, f.h_last = only_h;
    recurrent_forward(way.gpu, shape, f);
    f.y = only_y, f.h_last = nullptr;
    recurrent_forward(way.gpu, shape, f);
    EXPECT_EQ(only_h.read(), h.read());
    EXPECT_EQ(only_y.read(), y.read());
    RecurrentBackward b{u, h0, c0, mask, y, kept, cells, dy};
    b.dx_gates = dx, b.ds_gates = ds, b.h_before = h_before, b.dh0 = dh0, b.dc0 = dc0;
    recurrent_backward(way.gpu, shape, b);
    b.dx_gates = only_dx, b.ds_gates = b.h_before = b.dh0 = b.dc0 = nullptr;
    recurrent_backward(way.gpu, shape, b);
    EXPECT_EQ(only_dx.read(), dx.read());
  }
}

TEST(RecurrentErrors, UnitsThatNoKernelIsForAreRefused) {
  for (const std::int64_t units : {0, 129})
    EXPECT_THROW(recurrent_forward({}, {.rows = 1, .steps = 1, .units = units}, {}), UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
