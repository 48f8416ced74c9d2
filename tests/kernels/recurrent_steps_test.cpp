// Recurrent layers step by step: every cell, gates side by side or apart, dropout of the state, other
// activations, against one sequence after the other in double; gradients by central differences of that.
#include "kernels/recurrent_steps.hpp"

#include "kernels/gemm.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

struct Case {
  RecurrentCell cell;
  std::int64_t rows, steps, units;
  bool split;
  int masks;  // of the state
  bool other_activations, masked, reversed;
};

// Gates apart: x and u are [gates, ..].
struct Problem {
  Case c;
  Floats x, u, h0, c0, keep, dy, dh_last, dc_last;
  std::vector<std::uint8_t> mask;
  std::int64_t gates() const { return recurrent_gates(c.cell); }
  bool lstm() const { return c.cell == RecurrentCell::lstm; }
};
Problem make(const Case& c) {
  Problem p;
  p.c = c;
  const std::int64_t states = c.rows * c.units;
  p.x = uniform(p.gates() * states * c.steps, -1, 1);
  p.u = uniform(p.gates() * c.units * c.units, -0.5f, 0.5f, 2);
  p.h0 = uniform(states, -1, 1, 3);
  if (p.lstm()) p.c0 = uniform(states, -1, 1, 4), p.dc_last = uniform(states, -1, 1, 5);
  p.keep = uniform(c.masks * states, 0, 2, 6);
  p.dy = uniform(states * c.steps, -1, 1, 7), p.dh_last = uniform(states, -1, 1, 8);
  if (c.masked) {
    for (const std::int32_t v : integers(c.rows * c.steps, 3, 9)) p.mask.push_back(v != 0 ? 1 : 0);
  }
  return p;
}

struct Values {  // what is differentiated
  Doubles x, u, h0, c0;
};
struct Outcome {
  Doubles y, h, c;
};
Outcome run(const Problem& p, const Values& v) {
  const RecurrentCell cell = p.c.cell;
  const std::int64_t rows = p.c.rows, steps = p.c.steps, units = p.c.units, masks = p.c.masks;
  const bool other = p.c.other_activations, reversed = p.c.reversed;
  const auto gate = [&](double s) { return other ? std::tanh(s) : 1 / (1 + std::exp(-s)); };
  const auto state = [&](double s) { return other ? 1 / (1 + std::exp(-s)) : std::tanh(s); };
  Outcome out{Doubles(size(rows * steps * units)), v.h0, v.c0};
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t place = row * steps + (reversed ? steps - 1 - t : t);
      const auto x = [&](std::int64_t g, std::int64_t j) {
        return v.x[size((g * rows * steps + place) * units + j)];
      };
      const auto h = [&](std::int64_t j) { return out.h[size(row * units + j)]; };
      // The state as gate g meets it, times what else there is of each unit.
      const auto product = [&](std::int64_t g, std::int64_t j, const Doubles& times) {
        double sum = 0;
        for (std::int64_t k = 0; k < units; ++k) {
          const double kept = masks == 0 ? 1 : p.keep[size((row * masks + (masks > 1 ? g : 0)) * units + k)];
          sum += h(k) * kept * times[size(k)] * v.u[size((g * units + k) * units + j)];
        }
        return sum;
      };
      const Doubles ones(size(units), 1.0);
      Doubles reset(size(units), 1.0), next_h, next_c;
      if (cell == RecurrentCell::gru_reset_before) {
        for (std::int64_t j = 0; j < units; ++j) reset[size(j)] = gate(x(1, j) + product(1, j, ones));
      }
      for (std::int64_t j = 0; j < units; ++j) {
        if (cell == RecurrentCell::simple) {
          next_h.push_back(state(x(0, j) + product(0, j, ones)));
        } else if (cell == RecurrentCell::lstm) {
          double s[4];
          for (int g = 0; g < 4; ++g) s[g] = x(g, j) + product(g, j, ones);
          next_c.push_back(gate(s[1]) * out.c[size(row * units + j)] + gate(s[0]) * state(s[2]));
          next_h.push_back(gate(s[3]) * state(next_c.back()));
        } else {
          const double z = gate(x(0, j) + product(0, j, ones));
          const double r = cell == RecurrentCell::gru ? gate(x(1, j) + product(1, j, ones)) : 1;
          next_h.push_back(z * h(j) + (1 - z) * state(x(2, j) + r * product(2, j, reset)));
        }
      }
      if (p.mask.empty() || p.mask[size(place)] != 0) {
        std::copy(next_h.begin(), next_h.end(), out.h.begin() + row * units);
        std::copy(next_c.begin(), next_c.end(), out.c.begin() + row * units);
      }
      std::copy(out.h.begin() + row * units, out.h.begin() + (row + 1) * units,
                out.y.begin() + (row * steps + t) * units);
    }
  }
  return out;
}
double objective(const Problem& p, const Values& v) {
  const Outcome out = run(p, v);
  double sum = 0;
  for (std::size_t i = 0; i < out.y.size(); ++i) sum += p.dy[i] * out.y[i];
  for (std::size_t i = 0; i < out.h.size(); ++i) sum += p.dh_last[i] * out.h[i];
  for (std::size_t i = 0; i < out.c.size(); ++i) sum += p.dc_last[i] * out.c[i];
  return sum;
}
Doubles differences(const Problem& p, Values v, Doubles Values::*which) {
  Doubles result;
  for (std::size_t i = 0; i < (v.*which).size(); ++i) {
    const double old = (v.*which)[i], h = 1e-5;
    (v.*which)[i] = old + h;
    const double above = objective(p, v);
    (v.*which)[i] = old - h;
    result.push_back((above - objective(p, v)) / (2 * h));
    (v.*which)[i] = old;
  }
  return result;
}

// [gates, places, units] to [places, gates, units], and back.
Floats side_by_side(const Floats& apart, std::int64_t gates, std::int64_t units, bool back = false) {
  Floats result(apart.size());
  const std::int64_t places = apart.empty() ? 0 : static_cast<std::int64_t>(apart.size()) / gates / units;
  for (std::int64_t g = 0; g < gates; ++g) {
    for (std::int64_t i = 0; i < places; ++i) {
      for (std::int64_t j = 0; j < units; ++j) {
        const std::size_t a = size((g * places + i) * units + j), b = size((i * gates + g) * units + j);
        back ? result[a] = apart[b] : result[b] = apart[a];
      }
    }
  }
  return result;
}

// y, h, c, and the gradients of x, u, h0 and c0, gates apart.
Floats on_device(const Problem& p, const Way& way, bool inference) {
  const Case& c = p.c;
  const std::int64_t R = c.rows, T = c.steps, U = c.units, G = p.gates(), n = R * U;
  const bool before = c.cell == RecurrentCell::gru_reset_before;
  const auto laid_out = [&](const Floats& apart) { return c.split ? apart : side_by_side(apart, G, U); };
  Array<float> x(way, laid_out(p.x)), u(way, laid_out(p.u)), h0(way, p.h0), c0(way, p.c0), keep(way, p.keep),
      dy(way, p.dy), dh_last(way, p.dh_last), dc_last(way, p.dc_last);
  Array<std::uint8_t> mask(way, p.mask);
  const std::size_t sequence = size(R * T * U), cell = p.lstm() ? size(n) : 0;
  Array<float> y(way, inference ? 0 : sequence), kept(way, inference ? 0 : 4 * sequence),
      cells(way, inference || !p.lstm() ? 0 : sequence), h(way, size(n)), state_c(way, cell),
      operand(way, size(c.masks * n)), s(way, size(G * n)), reset(way, before ? size(n) : 0);
  RecurrentSteps steps;
  steps.shape = {c.cell, R, T, U, c.reversed};
  if (c.other_activations)
    steps.activation = Activation::sigmoid, steps.recurrent_activation = Activation::tanh;
  steps.split_x = steps.split_s = c.split;
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
    if (!c.split) {
      gemm(way.gpu, {Layout::nn, R, G * U, U}, met(0), u, {}, s, scratch);
    } else {
      for (std::int64_t g = 0; g < (before ? 2 : G); ++g) times_u(g, met(g));
      if (before) recurrent_step_reset(way.gpu, steps, t, f, state), times_u(2, reset);
    }
    recurrent_step_forward(way.gpu, steps, t, f, state);
  }
  if (inference) return join({h.read(), state_c.read()});

  Array<float> dx(way, p.x.size()), ds(way, p.x.size()), h_before(way, sequence), dh0(way, p.h0),
      dc0(way, p.c0), flow(way, size(n)), cell_flow(way, cell), products(way, size((c.split ? G : 1) * n)),
      back(way, size(G * n));
  RecurrentBackward b{u, h0, c0, mask, y, kept, cells, dy, dh_last, dc_last, dx, ds, h_before, dh0, dc0};
  b.dh0_mode = Accumulate::add;
  const RecurrentFlow flows{flow, cell_flow, products, back};
  const auto through_u = [&](std::int64_t g) {
    gemm(way.gpu, {Layout::nt, R, U, U}, back + g * n, u + g * U * U, {}, products + g * n, scratch);
  };
  for (std::int64_t t = T - 1; t >= 0; --t) {
    recurrent_step_backward(way.gpu, steps, t, b, flows);
    if (!c.split) {
      gemm(way.gpu, {Layout::nt, R, U, G * U}, back, u, {}, products, scratch);
      continue;
    }
    if (before) through_u(2), recurrent_step_reset_backward(way.gpu, steps, t, b, flows);
    for (std::int64_t g = 0; g < (before ? 2 : G); ++g) through_u(g);
  }
  recurrent_steps_end(way.gpu, steps, b, flows);
  b.dh0 = nullptr;  // one alone may be wanted
  recurrent_steps_end(way.gpu, steps, b, flows);
  const int parts = c.split ? static_cast<int>(G) : 1;
  Array<float> operands(way, size(parts) * sequence), du(way, p.u.size());
  recurrent_operands(way.gpu, steps, parts, h_before, kept, operands);
  for (std::int64_t g = 0; g < parts; ++g) {
    const std::int64_t columns = c.split ? U : G * U, at = g * R * T * U;
    gemm(way.gpu, {Layout::tn, U, columns, R * T}, operands + at, ds + at, {}, du + g * U * U, scratch);
  }
  const auto apart = [&](Array<float>& a) { return c.split ? a.read() : side_by_side(a.read(), G, U, true); };
  return join({y.read(), h.read(), state_c.read(), apart(dx), apart(du), dh0.read(), dc0.read()});
}

constexpr auto kGru = RecurrentCell::gru, kBefore = RecurrentCell::gru_reset_before,
               kLstm = RecurrentCell::lstm, kSimple = RecurrentCell::simple;
constexpr Case kCases[] = {
    // rows, steps, units, split, masks, other activations, masked, reversed
    {kGru, 3, 4, 5, false, 0, true, true, false},     {kGru, 2, 3, 4, false, 1, false, false, true},
    {kGru, 2, 3, 4, true, 3, false, true, false},     {kBefore, 3, 4, 5, true, 0, false, true, false},
    {kBefore, 2, 3, 4, true, 1, true, false, true},   {kBefore, 2, 3, 4, true, 3, false, false, false},
    {kLstm, 3, 3, 4, false, 1, true, true, true},     {kLstm, 2, 3, 4, true, 4, false, false, false},
    {kSimple, 3, 4, 5, false, 0, false, true, false}, {kSimple, 2, 3, 4, false, 1, true, false, false},
    {kSimple, 1, 1, 1, false, 0, true, false, false}, {kGru, 2, 0, 3, false, 0, false, false, false},
    {kLstm, 0, 2, 3, false, 0, false, false, false},
};

class RecurrentStepsTest : public testing::TestWithParam<Case> {};

TEST_P(RecurrentStepsTest, EveryCellAndItsGradients) {
  const Problem p = make(GetParam());
  const auto doubles = [](const Floats& v) { return Doubles(v.begin(), v.end()); };
  const Values v{doubles(p.x), doubles(p.u), doubles(p.h0), doubles(p.c0)};
  const Outcome want = run(p, v);
  const Floats all = everywhere([&](const Way& way) { return on_device(p, way, false); });
  std::size_t at = 0;
  const auto next = [&](std::size_t n) { return part(all, (at += n) - n, n); };
  for (const Doubles* values : {&want.y, &want.h, &want.c})
    expect_near(next(values->size()), *values, 1e-5, 2e-6);
  for (const auto which : {&Values::x, &Values::u, &Values::h0, &Values::c0}) {
    Doubles gradient = differences(p, v, which);
    for (std::size_t i = 0; which == &Values::h0 && i < gradient.size(); ++i)
      gradient[i] += p.h0[i];  // added to
    expect_near(next(gradient.size()), gradient, 2e-4, 2e-5);
  }
  // What only training keeps need not be there.
  const Floats ends = everywhere([&](const Way& way) { return on_device(p, way, true); });
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
