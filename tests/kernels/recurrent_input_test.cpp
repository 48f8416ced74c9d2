// What stands inside the recurrent sequence kernels: the product with the input, rows looked up and masks
// drawn on the way, and the gradients of both weights in one product.
#include "kernels/recurrent.hpp"

#include "kernels/dropout.hpp"
#include "kernels/gemm.hpp"
#include "tests/kernels/recurrent_reference.hpp"

namespace gpunn::kernels {
namespace {

// The input's product inside the sequence kernels, and both weights' gradients in one product, against
// products of their own around the kernels without it.
struct InputSizes {
  RecurrentCell cell;
  std::int64_t rows, steps, units, width;
  bool masked;
};

void input_inside_is_the_one_before(const InputSizes& z, Accumulate mode) {
  const RecurrentProblem p = make({z.cell, z.rows, z.steps, z.units, z.masked, z.masked});
  const RecurrentShape shape = p.c.shape();
  const std::int64_t places = z.rows * z.steps, columns = p.gates() * z.units;
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
      const std::int64_t counters = recurrent_weights_counters(shape, z.width);
      Array<std::uint32_t> done(way, size(counters));
      back.counters = done, back.counter_count = counters;
      recurrent_forward(way.gpu, shape, f, &in);
      recurrent_backward(way.gpu, shape, back, &in);
      Array<float> scratch(way, size(recurrent_weights_scratch_floats(shape, z.width)));
      recurrent_weight_gradients(way.gpu, shape, in,
                                 {dx_gates, ds_gates, h_before, dw, du, db, mode, mode, mode}, scratch, done);
    } else {
      const auto product = [&](const Gemm& g, float* left, float* right, const Epilogue& e, float* to,
                               const ColumnSums& sums = {}) {
        Array<float> scratch(way, size(gemm_scratch_floats(g.m, g.n, g.k, 1, sums.y != nullptr)));
        gemm(way.gpu, g, left, right, e, to, scratch, sums);
        check(cudaStreamSynchronize(static_cast<cudaStream_t>(way.gpu.stream)));
      };
      product({Layout::nn, places, columns, z.width}, from, w, {.bias = b}, x_gates);
      recurrent_forward(way.gpu, shape, f);
      recurrent_backward(way.gpu, shape, back);
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
    const RecurrentProblem p = make({z.cell, z.rows, z.steps, z.units, false, z.reversed});
    const RecurrentShape shape = p.c.shape();
    const std::int64_t places = z.rows * z.steps, columns = p.gates() * z.units;
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
      recurrent_forward(way.gpu, shape,
                        {nullptr, u, nullptr, h0, c0, nullptr, y, kept, cells, h_last, c_last}, &in);
      in.drawn = nullptr, in.mask = mask, in.dx = dx;
      RecurrentBackward b{u, h0, c0, nullptr, y, kept, cells, dy};
      b.dx_gates = dx_gates, b.ds_gates = ds_gates, b.h_before = h_before;
      b.counter_count = recurrent_weights_counters(shape, z.width);
      Array<std::uint32_t> counters(way, size(b.counter_count));
      b.counters = counters;
      recurrent_backward(way.gpu, shape, b, &in);
      Array<float> scratch(way, size(recurrent_weights_scratch_floats(shape, z.width)));
      RecurrentWeightGradients weights{dx_gates, ds_gates, h_before, dw, du};
      recurrent_weight_gradients(way.gpu, shape, in, weights, scratch, counters);
      return join({mask.read(), y.read(), dx.read(), dw.read(), du.read()});
    };
    const Floats inside = everywhere([&](const Way& way) { return run(way, true); });
    const Floats apart = everywhere([&](const Way& way) { return run(way, false); });
    expect_near(inside, Doubles(apart.begin(), apart.end()), 0);
    EXPECT_TRUE(std::isfinite(inside[size(z.rows * z.width + z.steps * z.units)]) || z.rows < 3) << "row 1";
  }
}

// Sums over so many places that they are made in slices.
TEST(RecurrentInputTest, TheInputsProductInsideIsTheOneBeforeInSlices) {
  if (kSmallestTests) GTEST_SKIP() << "thousands of barriers under this sanitizer";
  input_inside_is_the_one_before({RecurrentCell::simple, 65, 8, 8, 9, true}, Accumulate::overwrite);
  input_inside_is_the_one_before({RecurrentCell::gru, 65, 8, 12, 33, true}, Accumulate::add);
}

}  // namespace
}  // namespace gpunn::kernels
