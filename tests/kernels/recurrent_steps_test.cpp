// Recurrent layers step by step: every cell, gates side by side or apart, dropout of the state, other
// activations, against the reference.
#include "kernels/recurrent_steps.hpp"

#include "kernels/gemm.hpp"
#include "tests/kernels/recurrent_reference.hpp"

namespace gpunn::kernels {
namespace {

struct Case {
  RecurrentCase of;
  bool split;
};

// y, h, c, and the gradients of x, u, h0 and c0, gates apart.
Floats on_device(const RecurrentProblem& p, bool split, const Way& way, bool inference) {
  const RecurrentCase& c = p.c;
  const std::int64_t R = c.rows, T = c.steps, U = c.units, G = p.gates(), n = R * U;
  const bool before = c.cell == RecurrentCell::gru_reset_before;
  const auto laid_out = [&](const Floats& apart) { return split ? apart : side_by_side(apart, G, U); };
  Array<float> x(way, laid_out(p.x)), u(way, laid_out(p.u)), h0(way, p.h0), c0(way, p.c0), keep(way, p.keep),
      dy(way, p.dy), dh_last(way, p.dh_last), dc_last(way, p.dc_last);
  Array<std::uint8_t> mask(way, p.mask);
  const std::size_t sequence = size(R * T * U), cell = p.lstm() ? size(n) : 0;
  Array<float> y(way, inference ? 0 : sequence), kept(way, inference ? 0 : 4 * sequence),
      cells(way, inference || !p.lstm() ? 0 : sequence), h(way, size(n)), state_c(way, cell),
      operand(way, size(c.masks * n)), s(way, size(G * n)), reset(way, before ? size(n) : 0);
  RecurrentSteps steps;
  steps.shape = c.shape();
  if (c.other_activations)
    steps.activation = Activation::sigmoid, steps.recurrent_activation = Activation::tanh;
  steps.split_x = steps.split_s = split;
  steps.state_masks = c.masks, steps.state_mask = keep;
  const RecurrentForward f{x, u, nullptr, h0, c0, mask, y, kept, cells, nullptr, nullptr};
  const RecurrentState state{h, state_c, operand, s, reset};
  Array<float> scratch(way, size(std::max({gemm_scratch_floats(R, G * U, U), gemm_scratch_floats(R, U, G * U),
                                           gemm_scratch_floats(U, G * U, R * T)})));
  // Of gate g the state meets its own copy, the only one, or itself.
  const auto met = [&](std::int64_t g) {
    return c.masks == 0 ? h.data() : operand.data() + (c.masks > 1 ? g * n : 0);
  };
  const auto times_u = [&](std::int64_t g, float* left) {
    gemm(way.gpu, {Layout::nn, R, U, U}, left, u + g * U * U, {}, s + g * n, scratch);
  };
  recurrent_steps_begin(way.gpu, steps, h0, c0, state);
  for (std::int64_t t = 0; t < T; ++t) {
    if (!split) {
      gemm(way.gpu, {Layout::nn, R, G * U, U}, met(0), u, {}, s, scratch);
    } else {
      for (std::int64_t g = 0; g < (before ? 2 : G); ++g) times_u(g, met(g));
      if (before) recurrent_step_reset(way.gpu, steps, t, f, state), times_u(2, reset);
    }
    recurrent_step_forward(way.gpu, steps, t, f, state);
  }
  if (inference) return join({h.read(), state_c.read()});

  Array<float> dx(way, p.x.size()), ds(way, p.x.size()), h_before(way, sequence), dh0(way, p.h0),
      dc0(way, p.c0), flow(way, size(n)), cell_flow(way, cell), products(way, size((split ? G : 1) * n)),
      back(way, size(G * n));
  RecurrentBackward b{u, h0, c0, mask, y, kept, cells, dy, dh_last, dc_last, dx, ds, h_before, dh0, dc0};
  b.dh0_mode = Accumulate::add;
  const RecurrentFlow flows{flow, cell_flow, products, back};
  const auto through_u = [&](std::int64_t g) {
    gemm(way.gpu, {Layout::nt, R, U, U}, back + g * n, u + g * U * U, {}, products + g * n, scratch);
  };
  for (std::int64_t t = T - 1; t >= 0; --t) {
    recurrent_step_backward(way.gpu, steps, t, b, flows);
    if (!split) {
      gemm(way.gpu, {Layout::nt, R, U, G * U}, back, u, {}, products, scratch);
      continue;
    }
    if (before) through_u(2), recurrent_step_reset_backward(way.gpu, steps, t, b, flows);
    for (std::int64_t g = 0; g < (before ? 2 : G); ++g) through_u(g);
  }
  recurrent_steps_end(way.gpu, steps, b, flows);
  b.dh0 = nullptr;  // one alone may be wanted
  recurrent_steps_end(way.gpu, steps, b, flows);
  const int parts = split ? static_cast<int>(G) : 1;
  Array<float> operands(way, size(parts) * sequence), du(way, p.u.size());
  recurrent_operands(way.gpu, steps, parts, h_before, kept, operands);
  for (std::int64_t g = 0; g < parts; ++g) {
    const std::int64_t columns = split ? U : G * U, at = g * R * T * U;
    gemm(way.gpu, {Layout::tn, U, columns, R * T}, operands + at, ds + at, {}, du + g * U * U, scratch);
  }
  const auto apart = [&](Array<float>& a) { return split ? a.read() : side_by_side(a.read(), G, U, true); };
  return join({y.read(), h.read(), state_c.read(), apart(dx), apart(du), dh0.read(), dc0.read()});
}

constexpr auto kGru = RecurrentCell::gru, kBefore = RecurrentCell::gru_reset_before,
               kLstm = RecurrentCell::lstm, kSimple = RecurrentCell::simple;
constexpr Case kCases[] = {
    // rows, steps, units, masked, reversed, biased, masks of the state, other activations; split
    {{kGru, 3, 4, 5, true, false, false, 0, true}, false},
    {{kGru, 2, 3, 4, false, true, false, 1, false}, false},
    {{kGru, 2, 3, 4, true, false, false, 3, false}, true},
    {{kBefore, 3, 4, 5, true, false, false, 0, false}, true},
    {{kBefore, 2, 3, 4, false, true, false, 1, true}, true},
    {{kBefore, 2, 3, 4, false, false, false, 3, false}, true},
    {{kLstm, 3, 3, 4, true, true, false, 1, true}, false},
    {{kLstm, 2, 3, 4, false, false, false, 4, false}, true},
    {{kSimple, 3, 4, 5, true, false, false, 0, false}, false},
    {{kSimple, 2, 3, 4, false, false, false, 1, true}, false},
    {{kSimple, 1, 1, 1, false, false, false, 0, true}, false},
    {{kGru, 2, 0, 3, false, false, false, 0, false}, false},
    {{kLstm, 0, 2, 3, false, false, false, 0, false}, false},
};

class RecurrentStepsTest : public testing::TestWithParam<Case> {};

TEST_P(RecurrentStepsTest, EveryCellAndItsGradients) {
  const RecurrentProblem p = make(GetParam().of);
  const Values v = values_of(p);
  const Outcome want = run(p, v);
  const Floats all = everywhere([&](const Way& way) { return on_device(p, GetParam().split, way, false); });
  std::size_t at = 0;
  const auto next = [&](std::size_t n) { return part(all, (at += n) - n, n); };
  for (const Doubles* values : {&want.y, &want.h, &want.c})
    expect_near(next(values->size()), *values, 1e-5, 2e-6);
  for (const auto which : {&Values::x, &Values::u, &Values::h0, &Values::c0}) {
    Doubles gradient = differences(p, v, which, every((v.*which).size()));
    for (std::size_t i = 0; which == &Values::h0 && i < gradient.size(); ++i)
      gradient[i] += p.h0[i];  // added to
    expect_near(next(gradient.size()), gradient, 2e-4, 2e-5);
  }
  // What only training keeps need not be there.
  const Floats ends = everywhere([&](const Way& way) { return on_device(p, GetParam().split, way, true); });
  EXPECT_EQ(ends, part(all, want.y.size(), ends.size()));
}
INSTANTIATE_TEST_SUITE_P(Cases, RecurrentStepsTest, testing::ValuesIn(kCases));

TEST(RecurrentStepsErrors, AreFoundBeforeTheLaunch) {
  RecurrentSteps steps;
  steps.shape = {kGru, 1, 2, 3};
  for (const std::int64_t step : {-1, 2}) {
    EXPECT_THROW(recurrent_step_forward({}, steps, step, {}, {}), UsageError);
    EXPECT_THROW(recurrent_step_backward({}, steps, step, {}, {}), UsageError);
  }
  steps.shape.cell = kBefore;  // and its gates side by side
  EXPECT_THROW(recurrent_step_reset({}, steps, 0, {}, {}), UsageError);
  EXPECT_THROW(recurrent_step_reset_backward({}, steps, 0, {}, {}), UsageError);
}

TEST(MaskFeaturesTest, EachRowHasItsMasksForAllSteps) {
  for (const int masks : {1, 3}) {
    const FeatureMasks shape{3, 4, 5, masks};
    const std::int64_t n = shape.rows * shape.steps * shape.features;
    const Floats x = uniform(n, -1, 1), keep = uniform(shape.rows * masks * shape.features, 0, 2, 2),
                 dy = uniform(masks * n, -1, 1, 3);
    for (const Accumulate mode : kModes) {
      const Floats old_dx = before(mode, size(n));
      const Floats all = everywhere([&](const Way& way) {
        Array<float> in(way, x), mask(way, keep), flow(way, dy), y(way, dy.size()), dx(way, old_dx);
        mask_features(way.gpu, shape, mask, in, y);
        mask_features_backward(way.gpu, shape, mode, mask, flow, dx);
        return join({y.read(), dx.read()});
      });
      Doubles y(dy.size()), dx;
      for (std::int64_t i = 0; i < n; ++i) {
        dx.push_back(old(mode, old_dx, size(i)));
        for (std::int64_t k = 0; k < masks; ++k) {
          const std::int64_t row = i / shape.features / shape.steps;
          const double m = keep[size((row * masks + k) * shape.features + i % shape.features)];
          y[size(k * n + i)] = x[size(i)] * m;
          dx.back() += dy[size(k * n + i)] * m;
        }
      }
      expect_near(part(all, 0, y.size()), y, 1e-6);
      expect_near(part(all, y.size(), dx.size()), dx, 1e-5, 1e-6);
    }
  }
}

}  // namespace
}  // namespace gpunn::kernels
