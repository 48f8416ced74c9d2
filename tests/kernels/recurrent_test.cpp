#include "kernels/recurrent.hpp"

#include "kernels/dropout.hpp"
#include "kernels/gemm.hpp"
#include "kernels/launch_shape.hpp"
#include "kernels/recurrent_steps.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

// One sequence after the other, in double, from the definitions; gradients by hand-written back-propagation
// through the whole unrolled loop are checked against central differences in this same reference.
struct Problem {
  RecurrentShape shape;
  Floats x, u, bias, h0, c0;
  std::vector<std::uint8_t> mask;
  Floats dy, dh_last, dc_last;
  std::int64_t gates() const { return recurrent_gates(shape.cell); }
};

Problem make(RecurrentCell cell, std::int64_t rows, std::int64_t steps, std::int64_t units, bool reversed,
             bool masked) {
  Problem p;
  p.shape = {cell, rows, steps, units, reversed};
  const std::int64_t g = p.gates();
  p.x = uniform(rows * steps * g * units, -1, 1);
  p.u = uniform(units * g * units, -0.4f, 0.4f, 2);
  p.bias = cell == RecurrentCell::gru ? uniform(g * units, -0.5f, 0.5f, 3) : Floats();
  p.h0 = uniform(rows * units, -1, 1, 4);
  p.c0 = cell == RecurrentCell::lstm ? uniform(rows * units, -1, 1, 5) : Floats();
  if (masked) {
    for (const std::int32_t v : integers(rows * steps, 4, 6)) p.mask.push_back(v != 0 ? 1 : 0);
  }
  p.dy = uniform(rows * steps * units, -1, 1, 7);
  p.dh_last = uniform(rows * units, -1, 1, 8);
  p.dc_last = cell == RecurrentCell::lstm ? uniform(rows * units, -1, 1, 9) : Floats();
  return p;
}

double sigmoid(double v) {
  return 1 / (1 + std::exp(-v));
}

struct Values {  // what is differentiated, in double
  Doubles x, u, h0, c0;
};
struct Outcome {
  Doubles y, h, c;
};
Outcome run(const Problem& p, const Values& v) {
  const std::int64_t U = p.shape.units, T = p.shape.steps, G = p.gates();
  Outcome out{Doubles(static_cast<std::size_t>(p.shape.rows * T * U)), v.h0, v.c0};
  const auto at = [](const Doubles& d, std::int64_t i) { return d[static_cast<std::size_t>(i)]; };
  for (std::int64_t row = 0; row < p.shape.rows; ++row) {
    for (std::int64_t t = 0; t < T; ++t) {
      const std::int64_t in = row * T + (p.shape.reversed ? T - 1 - t : t);
      if (p.mask.empty() || p.mask[static_cast<std::size_t>(in)] != 0) {
        Doubles next_h, next_c;
        for (std::int64_t j = 0; j < U; ++j) {
          double s[4] = {}, x[4] = {};
          for (std::int64_t g = 0; g < G; ++g) {
            x[g] = at(v.x, (in * G + g) * U + j);
            s[g] = p.bias.empty() ? 0 : p.bias[static_cast<std::size_t>(g * U + j)];
            for (std::int64_t k = 0; k < U; ++k)
              s[g] += at(out.h, row * U + k) * at(v.u, k * G * U + g * U + j);
          }
          const double h = at(out.h, row * U + j);
          if (p.shape.cell == RecurrentCell::gru) {
            const double z = sigmoid(x[0] + s[0]), r = sigmoid(x[1] + s[1]);
            next_h.push_back(z * h + (1 - z) * std::tanh(x[2] + r * s[2]));
          } else {
            const double i = sigmoid(x[0] + s[0]), f = sigmoid(x[1] + s[1]), g = std::tanh(x[2] + s[2]);
            next_c.push_back(f * at(out.c, row * U + j) + i * g);
            next_h.push_back(sigmoid(x[3] + s[3]) * std::tanh(next_c.back()));
          }
        }
        std::copy(next_h.begin(), next_h.end(), out.h.begin() + row * U);
        std::copy(next_c.begin(), next_c.end(), out.c.begin() + row * U);
      }
      std::copy(out.h.begin() + row * U, out.h.begin() + (row + 1) * U, out.y.begin() + (row * T + t) * U);
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
// d objective / d which[i], for the elements asked for.
Doubles differences(const Problem& p, Values v, Doubles Values::*which,
                    const std::vector<std::size_t>& elements) {
  Doubles result;
  for (const std::size_t i : elements) {
    const double old = (v.*which)[i], h = 1e-5;
    (v.*which)[i] = old + h;
    const double above = objective(p, v);
    (v.*which)[i] = old - h;
    result.push_back((above - objective(p, v)) / (2 * h));
    (v.*which)[i] = old;
  }
  return result;
}

// Everything a layer would ask for, by the whole-sequence kernels or step by step with products between.
Floats on_device(const Problem& p, const Way& way, bool step_by_step) {
  const std::int64_t U = p.shape.units, T = p.shape.steps, G = p.gates(), R = p.shape.rows;
  const bool lstm = p.shape.cell == RecurrentCell::lstm;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  Array<float> x(way, p.x), u(way, p.u), bias(way, p.bias), h0(way, p.h0), c0(way, p.c0), dy(way, p.dy);
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
    recurrent_forward(way.gpu, p.shape, f);
    recurrent_backward(way.gpu, p.shape, b);
  } else {
    Array<float> s(way, size(R * G * U)), flow(way, size(R * U)), cell(way, lstm ? size(R * U) : 0),
        back(way, size(R * U));
    Array<float> scratch(way,
                         size(std::max(gemm_scratch_floats(R, G * U, U), gemm_scratch_floats(R, U, G * U))));
    RecurrentSteps steps;
    steps.shape = p.shape;
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
  return join({y.read(), h_last.read(), c_last.read(), dx.read(), du.read(), dh0.read(), dc0.read()});
}

struct Case {
  RecurrentCell cell;
  std::int64_t rows, steps, units;
  bool reversed, masked;
};
constexpr Case kCases[] = {
    {RecurrentCell::gru, 3, 7, 5, false, false},  {RecurrentCell::gru, 2, 5, 32, true, true},
    {RecurrentCell::gru, 2, 4, 33, false, true},  {RecurrentCell::gru, 2, 3, 64, false, false},
    {RecurrentCell::gru, 1, 3, 65, false, false}, {RecurrentCell::gru, 1, 2, 128, false, false},
    {RecurrentCell::lstm, 3, 7, 5, true, true},   {RecurrentCell::lstm, 2, 4, 31, false, false},
    {RecurrentCell::lstm, 2, 3, 64, false, true}, {RecurrentCell::lstm, 1, 3, 127, false, false},
    {RecurrentCell::lstm, 1, 1, 1, false, false}, {RecurrentCell::gru, 0, 4, 8, false, false},
};

class RecurrentTest : public testing::TestWithParam<Case> {};

TEST_P(RecurrentTest, SequencesAndTheirGradients) {
  const Case& c = GetParam();
  const Problem p = make(c.cell, c.rows, c.steps, c.units, c.reversed, c.masked);
  const auto doubles = [](const Floats& v) { return Doubles(v.begin(), v.end()); };
  const Values v{doubles(p.x), doubles(p.u), doubles(p.h0), doubles(p.c0)};
  const Outcome want = run(p, v);
  const auto some =
      [](std::size_t n) {  // a few elements everywhere: differences run the whole reference twice each
        std::vector<std::size_t> elements;
        for (std::size_t i = 0; i < n; i += 1 + n / 12) elements.push_back(i);
        return elements;
      };
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
      if (c.rows == 0) continue;
      const std::vector<std::size_t> elements = some(n);
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
    const Problem p = make(cell, 2 * kBlocksPerMultiprocessor + 1, 3, 5, false, false);
    const Floats many = on_device(p, {Gpu{nullptr, 40}, 0}, false);
    EXPECT_EQ(on_device(p, {Gpu{nullptr, 1}, 0}, false), many);
  }
}

// Inference has no use for most of what forward can write, and few layers for all of backward's.
TEST(RecurrentSequenceTest, WhatIsNotWantedIsNotWritten) {
  for (const RecurrentCell cell : {RecurrentCell::gru, RecurrentCell::lstm}) {
    const bool lstm = cell == RecurrentCell::lstm;
    const Problem p = make(cell, 2, 3, 5, false, true);
    const auto states = p.h0.size(), sequence = p.dy.size();
    const Way way{};
    Array<float> x(way, p.x), u(way, p.u), bias(way, p.bias), h0(way, p.h0), c0(way, p.c0), dy(way, p.dy);
    Array<std::uint8_t> mask(way, p.mask);
    Array<float> y(way, sequence), kept(way, 4 * sequence), cells(way, lstm ? sequence : 0), h(way, states),
        c(way, lstm ? states : 0), only_h(way, states), only_y(way, sequence), dx(way, p.x.size()),
        ds(way, p.x.size()), h_before(way, sequence), dh0(way, states), dc0(way, lstm ? states : 0),
        only_dx(way, p.x.size());
    RecurrentForward f{x, u, bias, h0, c0, mask, y, kept, cells, h, c};
    recurrent_forward(way.gpu, p.shape, f);
    f.y = f.kept = f.cells = f.c_last = nullptr, f.h_last = only_h;
    recurrent_forward(way.gpu, p.shape, f);
    f.y = only_y, f.h_last = nullptr;
    recurrent_forward(way.gpu, p.shape, f);
    EXPECT_EQ(only_h.read(), h.read());
    EXPECT_EQ(only_y.read(), y.read());
    RecurrentBackward b{u, h0, c0, mask, y, kept, cells, dy};
    b.dx_gates = dx, b.ds_gates = ds, b.h_before = h_before, b.dh0 = dh0, b.dc0 = dc0;
    recurrent_backward(way.gpu, p.shape, b);
    b.dx_gates = only_dx, b.ds_gates = b.h_before = b.dh0 = b.dc0 = nullptr;
    recurrent_backward(way.gpu, p.shape, b);
    EXPECT_EQ(only_dx.read(), dx.read());
  }
}

// The input's product inside the sequence kernels, and both weights' gradients in one product, against
// products of their own around the kernels without it.
struct InputSizes {
  RecurrentCell cell;
  std::int64_t rows, steps, units, width;
  bool masked;
};

void input_inside_is_the_one_before(const InputSizes& z, Accumulate mode) {
  Problem p = make(z.cell, z.rows, z.steps, z.units, z.masked, z.masked);
  const std::int64_t places = z.rows * z.steps, columns = p.gates() * z.units;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const Floats x = uniform(places * z.width, -1, 1, 11), kernel = uniform(z.width * columns, -0.4f, 0.4f, 12),
               bias = uniform(2 * columns, -0.3f, 0.3f, 13), keep = uniform(z.rows * z.width, 0, 2, 14);
  Floats kept_x = x;
  for (std::size_t i = 0; z.masked && i < x.size(); ++i)
    kept_x[i] *= keep[i / size(z.steps * z.width) * size(z.width) + i % size(z.width)];
  const auto run = [&](const Way& way, bool inside) {
    Array<float> u(way, p.u), b(way, bias), h0(way, p.h0), c0(way, p.c0), dy(way, p.dy), w(way, kernel);
    Array<float> from(way, inside ? x : kept_x), factors(way, keep), x_gates(way, size(places * columns));
    Array<std::uint8_t> mask(way, p.mask);
    Array<float> y(way, size(places * z.units)), kept(way, size(places * 4 * z.units)),
        cells(way, size(places * z.units)), h_last(way, p.h0), c_last(way, p.h0),
        dx_gates(way, size(places * columns)), ds_gates(way, size(places * columns)),
        h_before(way, size(places * z.units));
    const std::size_t weights = kernel.size(), recurrent = p.u.size();
    Array<float> dx(way, before(mode, x.size())), dw(way, before(mode, weights)),
        du(way, before(mode, recurrent)), db(way, before(mode, bias.size()));
    RecurrentForward f{x_gates, u, b + columns, h0, c0, mask, y, kept, cells, h_last, c_last};
    if (z.cell != RecurrentCell::gru) f.recurrent_bias = nullptr;
    RecurrentBackward back{u, h0, c0, mask, y, kept, cells, dy};
    back.dx_gates = dx_gates, back.ds_gates = ds_gates, back.h_before = h_before;
    RecurrentInput in;
    in.width = z.width, in.x = from, in.kernel = w, in.bias = b, in.dx = dx, in.dx_mode = mode;
    if (z.masked) in.mask = factors;
    const bool two = z.cell == RecurrentCell::gru;
    if (inside) {
      const std::int64_t counters = recurrent_weights_counters(p.shape, z.width);
      Array<std::uint32_t> done(way, size(counters));
      back.counters = done, back.counter_count = counters;
      recurrent_forward(way.gpu, p.shape, f, &in);
      recurrent_backward(way.gpu, p.shape, back, &in);
      Array<float> scratch(way, size(recurrent_weights_scratch_floats(p.shape, z.width)));
      recurrent_weight_gradients(way.gpu, p.shape, in,
                                 {dx_gates, ds_gates, h_before, dw, du, db, mode, mode, mode}, scratch, done);
    } else {
      const auto product = [&](const Gemm& g, float* left, float* right, const Epilogue& e, float* to,
                               const ColumnSums& sums = {}) {
        Array<float> scratch(way, size(gemm_scratch_floats(g.m, g.n, g.k, 1, sums.y != nullptr)));
        gemm(way.gpu, g, left, right, e, to, scratch, sums);
        check(cudaStreamSynchronize(static_cast<cudaStream_t>(way.gpu.stream)));
      };
      product({Layout::nn, places, columns, z.width}, from, w, {.bias = b}, x_gates);
      recurrent_forward(way.gpu, p.shape, f);
      recurrent_backward(way.gpu, p.shape, back);
      product({Layout::nt, places, z.width, columns}, dx_gates, w, {.mode = mode}, dx);
      product({Layout::tn, z.width, columns, places}, from, dx_gates, {.mode = mode}, dw, {db, mode});
      product({Layout::tn, z.units, columns, places}, h_before, ds_gates, {.mode = mode}, du,
              two ? ColumnSums{db + columns, mode} : ColumnSums{});
    }
    Floats sums = db.read();
    if (!two) sums.resize(size(columns));
    return join({y.read(), dw.read(), du.read(), sums, dx.read()});
  };
  const Floats inside = everywhere([&](const Way& way) { return run(way, true); });
  Floats apart = everywhere([&](const Way& way) { return run(way, false); });
  for (std::size_t i = apart.size() - x.size(), k = 0; z.masked && k < x.size(); ++i, ++k) {
    const float base = static_cast<float>(old(mode, before(mode, x.size()), k));
    apart[i] =
        base + (apart[i] - base) * keep[k / size(z.steps * z.width) * size(z.width) + k % size(z.width)];
  }
  expect_near(inside, Doubles(apart.begin(), apart.end()), 2e-4, 2e-5);
}

TEST(RecurrentInputTest, TheInputsProductInsideIsTheOneBefore) {
  for (const InputSizes& z :
       {InputSizes{RecurrentCell::gru, 3, 5, 7, 4, true}, InputSizes{RecurrentCell::gru, 2, 3, 33, 64, true},
        InputSizes{RecurrentCell::lstm, 2, 4, 5, 33, false}}) {
    for (const Accumulate mode : kModes) input_inside_is_the_one_before(z, mode);
  }
}

// Sums that are cut into slices, which the last block of each tile adds up, and sums that are not.
TEST(RecurrentWeightsTest, GradientsAreTheSumsOverAllPlaces) {
  struct Sizes {
    std::int64_t rows, steps, units, width;
  };
  for (const Sizes& z :
       {Sizes{3, 400, 33, 5}, Sizes{3, 171, 2, 34}, Sizes{2, 256, 3, 3}, Sizes{0, 4, 3, 2}}) {
    const RecurrentShape shape{RecurrentCell::gru, z.rows, z.steps, z.units};
    const std::int64_t places = z.rows * z.steps, columns = 3 * z.units;
    EXPECT_EQ(recurrent_weights_counters(shape, z.width) > 0, places > 512);
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const Floats x = uniform(places * z.width, -1, 1), keep = uniform(z.rows * z.width, 0, 2, 2),
                 h = uniform(places * z.units, -1, 1, 3), dx = uniform(places * columns, -1, 1, 4),
                 ds = uniform(places * columns, -1, 1, 5);
    for (const Accumulate mode : kModes) {
      const Floats dw0 = before(mode, size(z.width * columns)), du0 = before(mode, size(z.units * columns)),
                   db0 = before(mode, size(2 * columns));
      const Floats got = everywhere([&](const Way& way) {
        Array<float> from(way, x), mask(way, keep), states(way, h), dx_gates(way, dx), ds_gates(way, ds),
            dw(way, dw0), du(way, du0), db(way, db0);
        RecurrentInput in;
        in.width = z.width, in.x = from, in.mask = mask;
        Array<float> scratch(way, size(recurrent_weights_scratch_floats(shape, z.width)));
        Array<std::uint32_t> counters(
            way, std::vector<std::uint32_t>(size(recurrent_weights_counters(shape, z.width)), 0));
        recurrent_weight_gradients(way.gpu, shape, in,
                                   {dx_gates, ds_gates, states, dw, du, db, mode, mode, mode}, scratch,
                                   counters);
        return join({dw.read(), du.read(), db.read()});
      });
      Doubles want;
      const auto add = [&](const Floats& old_values, const Floats& gates, std::int64_t lines, auto operand) {
        for (std::int64_t l = 0; l < lines; ++l) {
          for (std::int64_t c = 0; c < columns; ++c) {
            double sum = old(mode, old_values, size(l * columns + c));
            for (std::int64_t k = 0; k < places; ++k) sum += operand(k, l) * gates[size(k * columns + c)];
            want.push_back(sum);
          }
        }
      };
      add(dw0, dx, z.width, [&](std::int64_t k, std::int64_t l) {
        return double{x[size(k * z.width + l)]} * keep[size(k / z.steps * z.width + l)];
      });
      add(du0, ds, z.units, [&](std::int64_t k, std::int64_t l) { return double{h[size(k * z.units + l)]}; });
      const auto one = [](std::int64_t, std::int64_t) { return 1.0; };
      add(db0, dx, 1, one);
      add(Floats(db0.begin() + columns, db0.end()), ds, 1, one);
      expect_near(got, want, 1e-4, 1e-4);
    }
  }
}

// Rows of a table by ids, and a mask that is drawn, give the bits that x and that mask in memory give.
TEST(RecurrentInputTest, RowsLookedUpAndAMaskDrawnAreTheSame) {
  struct Sizes {
    RecurrentCell cell;
    std::int64_t rows, steps, units, width;
    bool reversed;
  };
  constexpr std::int64_t kVocabulary = 9;
  for (const Sizes& z :
       {Sizes{RecurrentCell::gru, 3, 5, 7, 6, true}, Sizes{RecurrentCell::lstm, 2, 1, 33, 64, false},
        Sizes{RecurrentCell::simple, 5, 130, 3, 2, false}}) {
    const Problem p = make(z.cell, z.rows, z.steps, z.units, z.reversed, false);
    const std::int64_t places = z.rows * z.steps, columns = p.gates() * z.units;
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const Floats table = uniform(kVocabulary * z.width, -1, 1, 11),
                 kernel = uniform(z.width * columns, -0.4f, 0.4f, 12);
    std::vector<std::int32_t> ids = integers(places, kVocabulary, 13);
    ids.front() = -1, ids.back() = kVocabulary;  // no such rows: NaN, in their own rows of the batch
    Floats x;
    for (const std::int32_t id : ids) {
      for (std::int64_t f = 0; f < z.width; ++f)
        x.push_back(id < 0 || id >= kVocabulary ? NAN : table[size(id * z.width + f)]);
    }
    const StepState now{.seed = 41, .step = 3};
    const DropoutAttributes dropout_of{0.3f, 5};
    const auto run = [&](const Way& way, bool inside) {
      Array<float> u(way, p.u), h0(way, p.h0), c0(way, p.c0), dy(way, p.dy), w(way, kernel),
          from(way, inside ? table : x), mask(way, size(z.rows * z.width));
      Array<std::int32_t> names(way, ids);
      Array<StepState> state(Way{way.gpu, 0}, std::vector<StepState>{now});
      Array<float> y(way, size(places * z.units)), kept(way, size(places * 4 * z.units)),
          cells(way, size(places * z.units)), h_last(way, p.h0), c_last(way, p.h0),
          dx_gates(way, size(places * columns)), ds_gates(way, size(places * columns)),
          h_before(way, size(places * z.units)), dx(way, x.size()), dw(way, kernel.size()),
          du(way, p.u.size());
      RecurrentInput in;
      in.width = z.width, in.x = from, in.kernel = w;
      if (inside) {
        in.ids = names, in.vocabulary = kVocabulary;
        in.drawn = mask, in.dropout = dropout_of, in.state = state;
      } else {
        dropout(way.gpu, dropout_of, state, Accumulate::overwrite, z.rows * z.width, nullptr, mask);
        in.mask = mask;
      }
      recurrent_forward(way.gpu, p.shape,
                        {nullptr, u, nullptr, h0, c0, nullptr, y, kept, cells, h_last, c_last}, &in);
      in.drawn = nullptr, in.mask = mask, in.dx = dx;
      RecurrentBackward b{u, h0, c0, nullptr, y, kept, cells, dy};
      b.dx_gates = dx_gates, b.ds_gates = ds_gates, b.h_before = h_before;
      b.counter_count = recurrent_weights_counters(p.shape, z.width);
      Array<std::uint32_t> counters(way, size(b.counter_count));
      b.counters = counters;
      recurrent_backward(way.gpu, p.shape, b, &in);
      Array<float> scratch(way, size(recurrent_weights_scratch_floats(p.shape, z.width)));
      RecurrentWeightGradients weights{dx_gates, ds_gates, h_before, dw, du};
      recurrent_weight_gradients(way.gpu, p.shape, in, weights, scratch, counters);
      return join({mask.read(), y.read(), dx.read(), dw.read(), du.read()});
    };
    const Floats inside = everywhere([&](const Way& way) { return run(way, true); });
    const Floats apart = everywhere([&](const Way& way) { return run(way, false); });
    expect_near(inside, Doubles(apart.begin(), apart.end()), 0);
    EXPECT_TRUE(std::isfinite(inside[size(z.rows * z.width + z.steps * z.units)]) || z.rows < 3) << "row 1";
  }
}

TEST(RecurrentErrors, UnitsThatNoKernelIsForAreRefused) {
  for (const std::int64_t units : {0, 129})
    EXPECT_THROW(recurrent_forward({}, {.rows = 1, .steps = 1, .units = units}, {}), UsageError);
}

// Sums over so many places that they are made in slices.
TEST(RecurrentInputTest, TheInputsProductInsideIsTheOneBeforeInSlices) {
  if (kSmallestTests) GTEST_SKIP() << "thousands of barriers under this sanitizer";
  input_inside_is_the_one_before({RecurrentCell::simple, 65, 8, 8, 9, true}, Accumulate::overwrite);
  input_inside_is_the_one_before({RecurrentCell::gru, 65, 8, 12, 33, true}, Accumulate::add);
}

}  // namespace
}  // namespace gpunn::kernels
