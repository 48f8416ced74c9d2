// Kernels that move data: transpose, concatenate, gather, embedding; and elementwise arithmetic with
// broadcasting.
#include "kernels/concatenate.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/loss_weights.hpp"
#include "kernels/sequence.hpp"
#include "kernels/transpose.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

using Extents = std::vector<std::int64_t>;
std::int64_t elements(const Extents& e) {
  return std::accumulate(e.begin(), e.end(), std::int64_t{1}, std::multiplies<>());
}
// The indexes of element i.
Extents unravel(std::int64_t i, const Extents& extents) {
  Extents index(extents.size());
  for (std::size_t k = extents.size(); k-- > 0;) index[k] = i % extents[k], i /= extents[k];
  return index;
}

TEST(TransposeTest, EveryOrderOfAxes) {
  struct Case {
    Extents extents;
    std::vector<int> order;
  };
  const Case cases[] = {{{33, 65}, {1, 0}},
                        {{32, 32}, {1, 0}},
                        {{2, 5, 40}, {0, 2, 1}},
                        {{3, 4, 5, 6}, {3, 1, 0, 2}},
                        {{3, 3, 8, 16}, {3, 0, 1, 2}},
                        {{4, 5, 6}, {1, 0, 2}},
                        {{7}, {0}},
                        {{3, 1, 4}, {2, 1, 0}},
                        {{0, 4}, {1, 0}},
                        {{2, 3, 2, 3, 2, 2, 2, 3}, {7, 2, 0, 5, 1, 3, 6, 4}}};
  for (const Case& c : cases) {
    const Floats x = uniform(elements(c.extents), -1, 1);
    Extents out;
    for (const int k : c.order) out.push_back(c.extents[static_cast<std::size_t>(k)]);
    for (const Accumulate mode : kModes) {
      const Floats old_y = before(mode, x.size());
      const Floats y = everywhere([&](const Way& way) {
        Array<float> in(way, x), result(way, old_y);
        transpose(way.gpu, c.extents, c.order, mode, in, result);
        return result.read();
      });
      for (std::size_t i = 0; i < y.size(); ++i) {
        const Extents index = unravel(static_cast<std::int64_t>(i), out);
        Extents from(index.size());
        for (std::size_t k = 0; k < index.size(); ++k) from[static_cast<std::size_t>(c.order[k])] = index[k];
        std::int64_t at = 0;
        for (std::size_t k = 0; k < from.size(); ++k) at = at * c.extents[k] + from[k];
        const float moved = x[static_cast<std::size_t>(at)];
        ASSERT_EQ(y[i], mode == Accumulate::add ? old_y[i] + moved : moved) << i;
      }
    }
  }
}

TEST(ConcatenateTest, JoinsAndCutsAgain) {
  for (const Extents& widths : {Extents{4, 8, 4}, Extents{1, 3, 0, 5}, Extents(40, 2)}) {
    for (const std::int64_t rows : {0, 1, 37}) {
      std::vector<Floats> parts;
      for (std::size_t k = 0; k < widths.size(); ++k) parts.push_back(uniform(rows * widths[k], -1, 1, k));
      const std::int64_t total = std::accumulate(widths.begin(), widths.end(), std::int64_t{0});
      const Floats all = everywhere([&](const Way& way) {
        std::vector<std::unique_ptr<Array<float>>> arrays;
        std::vector<ColumnBlock> blocks;
        for (std::size_t k = 0; k < parts.size(); ++k) {
          arrays.push_back(std::make_unique<Array<float>>(way, parts[k]));
          blocks.push_back({arrays[k]->data(), widths[k]});
        }
        Array<float> y(way, static_cast<std::size_t>(rows * total));
        concatenate(way.gpu, rows, blocks, y);
        Floats result = y.read();
        std::int64_t begin = 0;
        for (std::size_t k = 0; k < parts.size(); begin += widths[k], ++k) {
          Array<float> back(way, Floats(parts[k].size(), NAN)), added(way, Floats(parts[k].size(), 1.0f));
          const Cut cut{rows, total, begin, widths[k]};
          cut_columns(way.gpu, cut, Accumulate::overwrite, y, back);
          cut_columns(way.gpu, cut, Accumulate::add, y, added);
          EXPECT_EQ(back.read(), parts[k]);
          const Floats sums = added.read();
          for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(sums[i], parts[k][i] + 1);
        }
        return result;
      });
      std::size_t at = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::size_t k = 0; k < parts.size(); ++k) {
          for (std::int64_t c = 0; c < widths[k]; ++c) {
            ASSERT_EQ(all[at++], parts[k][static_cast<std::size_t>(r * widths[k] + c)]);
          }
        }
      }
      ASSERT_EQ(at, all.size());
    }
  }
}

template <class T>
void gathers_rows_by_index() {
  const std::int64_t columns = 9, source = 11;
  std::vector<T> pixels;
  for (const std::int32_t v : integers(source * columns, 256)) pixels.push_back(static_cast<T>(v));
  const std::vector<std::int64_t> indices = {3, 0, 10, 7, 7, 1, 11, -1};
  const Floats all = everywhere([&](const Way& way) {
    Array<T> x(way, pixels), y(way, 72);
    Array<std::int64_t> index(way, indices);
    gather_rows(way.gpu, {8, columns, source}, x, index, y);
    Floats rows;
    for (const T v : y.read()) rows.push_back(static_cast<float>(v));
    return rows;
  });
  std::size_t at = 0;
  for (const std::int64_t from : indices) {
    for (std::int64_t c = 0; c < columns; ++c, ++at) {
      const bool inside = from >= 0 && from < source;
      const T want = inside ? pixels[static_cast<std::size_t>(from * columns + c)] : static_cast<T>(-1);
      ASSERT_EQ(all[at], static_cast<float>(want));
    }
  }
}

TEST(GatherTest, RowsOfWordsByIndex) {
  gathers_rows_by_index<std::uint32_t>();
}
TEST(GatherTest, RowsOfBytesByIndex) {
  gathers_rows_by_index<std::uint8_t>();
}

TEST(EmbeddingTest, ForwardAndGradientInTheOrderOfPositions) {
  const EmbeddingShape shapes[] = {{0, 4, 3},    {1, 1, 1},   {70, 33, 9},
                                   {200, 8, 40}, {600, 5, 7}, {300, 257, 1030}};
  for (const EmbeddingShape& s : shapes) {
    if (kSmallestTests && s.rows * s.columns > 20000) continue;
    std::vector<std::int32_t> ids = integers(s.positions, static_cast<std::int32_t>(s.rows));
    if (s.positions > 50) ids[5] = -1, ids[40] = static_cast<std::int32_t>(s.rows);
    const Floats table = uniform(s.rows * s.columns, -1, 1), dy = uniform(s.positions * s.columns, -1, 1, 2);
    for (const Accumulate mode : kModes) {
      const Floats old_table = before(mode, table.size());
      const Floats all = everywhere([&](const Way& way) {
        Array<std::int32_t> id(way, ids);
        Array<float> t(way, table), y(way, dy.size()), flow(way, dy), dtable(way, old_table);
        embedding_forward(way.gpu, s, id, t, y);
        embedding_backward(way.gpu, s, mode, id, flow, dtable);
        return join({y.read(), dtable.read()});
      });
      Floats dtable = mode == Accumulate::add ? old_table : Floats(table.size(), 0.0f);
      for (std::size_t p = 0; p < ids.size(); ++p) {
        const bool inside = ids[p] >= 0 && ids[p] < s.rows;
        for (std::size_t c = 0; c < static_cast<std::size_t>(s.columns); ++c) {
          const std::size_t at = p * static_cast<std::size_t>(s.columns) + c;
          if (!inside) {
            ASSERT_TRUE(std::isnan(all[at]));
            continue;
          }
          const std::size_t in_table = static_cast<std::size_t>(ids[p] * s.columns) + c;
          ASSERT_EQ(all[at], table[in_table]);
          dtable[in_table] += dy[at];  // in float, in this order: the kernel promises the same bits
        }
      }
      ASSERT_EQ(part(all, dy.size(), dtable.size()), dtable);
    }
  }
}

TEST(SequenceTest, MasksAndReversal) {
  for (const SequenceShape& s :
       {SequenceShape{0, 3, 2}, SequenceShape{2, 0, 3}, SequenceShape{3, 1, 1}, SequenceShape{7, 5, 1},
        SequenceShape{4, 9, 33}, SequenceShape{2, 3, 1025}}) {
    const auto steps = static_cast<std::size_t>(s.rows * s.steps),
               width = static_cast<std::size_t>(s.features);
    const std::size_t n = steps * width;
    Floats x = uniform(s.rows * s.steps * s.features, -1, 1);
    std::vector<std::int32_t> ids = integers(s.rows * s.steps * s.features, 3);
    for (std::size_t i = 0; i < n; ++i) {
      if (i / width % 3 == 1) x[i] = 0.5f, ids[i] = 2;  // every third step is padding
    }
    if (n > 1) x[width] = NAN;  // in a step of padding: it differs
    for (const Accumulate mode : kModes) {
      const Floats old_y = before(mode, n);
      const Floats all = everywhere([&](const Way& way) {
        Array<float> from(way, x), masked(way, old_y), reversed(way, old_y);
        Array<std::int32_t> tokens(way, ids);
        Array<std::uint8_t> mask(way, steps), token_mask(way, steps);
        sequence_mask(way.gpu, s, 0.5f, from, mask);
        sequence_mask(way.gpu, s, 2, tokens, token_mask);
        apply_mask(way.gpu, s, mode, from, mask, masked);
        reverse(way.gpu, s, mode, from, reversed);
        const auto a = mask.read(), b = token_mask.read();
        return join({Floats(a.begin(), a.end()), Floats(b.begin(), b.end()), masked.read(), reversed.read()});
      });
      ASSERT_EQ(all.size(), 2 * steps + 2 * n);
      for (std::size_t step = 0; step < steps; ++step) {
        bool real = false, real_token = false;
        const std::size_t row = step / static_cast<std::size_t>(s.steps),
                          turned = (2 * row + 1) * static_cast<std::size_t>(s.steps) - 1 - step;
        for (std::size_t c = 0; c < width; ++c) {
          real = real || x[step * width + c] != 0.5f;
          real_token = real_token || ids[step * width + c] != 2;
        }
        ASSERT_EQ(all[step], real ? 1.0f : 0.0f);
        ASSERT_EQ(all[steps + step], real_token ? 1.0f : 0.0f);
        for (std::size_t c = 0; c < width; ++c) {
          const std::size_t i = step * width + c;
          const auto base = static_cast<float>(old(mode, old_y, i));
          const auto expect = [&](float got, float value) {
            const float want = mode == Accumulate::add ? base + value : value;
            ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << got << " " << want;
          };
          expect(all[2 * steps + i], real ? x[i] : 0.0f);
          expect(all[2 * steps + n + i], x[turned * width + c]);
        }
      }
    }
  }
}

TEST(SequenceTest, MasksMerge) {
  struct Sizes {
    std::int64_t rows, steps, others;
  };
  for (const Sizes& z :
       {Sizes{0, 3, 2}, Sizes{3, 0, 4}, Sizes{2, 5, 0}, Sizes{1, 1, 1}, Sizes{7, 5, 3}, Sizes{9, 130, 257}}) {
    const auto bytes = [](std::int64_t n, std::int32_t shift) {
      std::vector<std::uint8_t> mask;
      for (const std::int32_t v : integers(n + shift, 2)) mask.push_back(static_cast<std::uint8_t>(v));
      mask.erase(mask.begin(), mask.begin() + shift);
      return mask;
    };
    const std::vector<std::uint8_t> a = bytes(z.rows * z.steps, 0), b = bytes(z.rows * z.others, 1),
                                    c = bytes(z.rows * z.steps, 2);
    const Floats all = everywhere([&](const Way& way) {
      Array<std::uint8_t> x(way, a), y(way, b), same(way, c), either(way, a.size()),
          joined(way, a.size() + b.size());
      either_mask(way.gpu, z.rows * z.steps, x, same, either);
      join_masks(way.gpu, z.rows, z.steps, z.others, x, y, joined);
      const auto first = either.read(), second = joined.read();
      return join({Floats(first.begin(), first.end()), Floats(second.begin(), second.end())});
    });
    Floats want;
    for (std::size_t i = 0; i < a.size(); ++i) want.push_back(a[i] != 0 || c[i] != 0 ? 1.0f : 0.0f);
    for (std::int64_t row = 0; row < z.rows; ++row) {
      want.insert(want.end(), a.begin() + row * z.steps, a.begin() + (row + 1) * z.steps);
      want.insert(want.end(), b.begin() + row * z.others, b.begin() + (row + 1) * z.others);
    }
    ASSERT_EQ(all, want);
  }
}

// The counts are exact; 4096 elements and fewer are one launch.
TEST(LossWeightsTest, CountsAndSpreadsTheMask) {
  struct Sizes {
    std::int64_t samples, steps, vectors;
  };
  for (const auto& [samples, steps, vectors] : {Sizes{0, 3, 3}, Sizes{1, 1, 1}, Sizes{5, 7, 7},
                                                Sizes{3, 5, 20}, Sizes{64, 64, 64}, Sizes{51, 101, 202}}) {
    const std::int64_t n = samples * steps;
    const LossWeightsShape shape{samples * vectors, vectors, vectors / steps};
    Floats sample(static_cast<std::size_t>(samples));
    for (std::size_t i = 0; i < sample.size(); ++i) sample[i] = static_cast<float>(i % 5) * 0.5f;
    for (const std::int32_t real_in : {2, 0}) {  // of three steps, about
      std::vector<std::uint8_t> real(static_cast<std::size_t>(n));
      const auto drawn = integers(n, 3);
      for (std::size_t i = 0; i < real.size(); ++i) real[i] = drawn[i] < real_in ? 7 : 0;
      const auto count = static_cast<float>(std::count(real.begin(), real.end(), 7));
      const auto rows = static_cast<std::size_t>(samples * vectors);
      const Floats all = everywhere([&](const Way& way) {
        Array<std::uint8_t> mask(way, real);
        Array<float> weights(way, sample), counted(way, Floats(1, NAN));
        Array<float> scratch(way, Floats(static_cast<std::size_t>(mask_count_scratch_floats(n)), NAN));
        Array<float> both(way, Floats(rows, NAN)), plain(way, Floats(rows, NAN)),
            spread(way, Floats(rows, NAN));
        mask_count(way.gpu, n, mask, counted, scratch);
        loss_weights(way.gpu, shape, weights, mask, counted, both);
        loss_weights(way.gpu, shape, nullptr, mask, nullptr, plain);
        loss_weights(way.gpu, shape, weights, nullptr, nullptr, spread);
        return join({counted.read(), both.read(), plain.read(), spread.read()});
      });
      ASSERT_EQ(all[0], count);
      for (std::size_t i = 0; i < rows; ++i) {
        const float weight = sample[i / static_cast<std::size_t>(vectors)];
        const bool counts = real[i / static_cast<std::size_t>(vectors / steps)] != 0;
        ASSERT_EQ(all[1 + i], counts ? weight * (static_cast<float>(n) / count) : 0.0f) << i;
        ASSERT_EQ(all[1 + rows + i], counts ? 1.0f : 0.0f) << i;
        ASSERT_EQ(all[1 + 2 * rows + i], weight) << i;
      }
    }
  }
}

double apply(Binary kind, double a, double b) {
  switch (kind) {
    case Binary::add:
      return a + b;
    case Binary::subtract:
      return a - b;
    case Binary::multiply:
      return a * b;
    case Binary::divide:
      return a / b;
    case Binary::maximum:
      return std::max(a, b);
    case Binary::minimum:
      return std::min(a, b);
  }
  return NAN;
}

TEST(BinaryTest, BroadcastsByNumpysRules) {
  struct Case {
    Extents a, b, y;
  };
  const Case cases[] = {{{37}, {37}, {37}},
                        {{5, 7}, {7}, {5, 7}},
                        {{5, 7}, {5, 1}, {5, 7}},
                        {{1, 7}, {5, 1}, {5, 7}},
                        {{4, 1, 3}, {2, 1}, {4, 2, 3}},
                        {{6}, {}, {6}},
                        {{2, 1, 2, 1, 2, 1, 2, 3}, {1, 3, 2, 2, 1, 2, 1, 3}, {2, 3, 2, 2, 2, 2, 2, 3}},
                        {{0, 3}, {3}, {0, 3}}};
  for (const Case& c : cases) {
    const Floats a = uniform(elements(c.a), -2, 2), b = uniform(elements(c.b), 0.5f, 2, 2);
    const Floats dy = uniform(elements(c.y), -1, 1, 3);
    const BroadcastShape shape = broadcast_shape(c.a, c.b);
    ASSERT_EQ(shape.count, elements(c.y));
    const auto at = [&](const Floats& x, const Extents& extents, std::int64_t i) {
      const Extents index = unravel(i, c.y);
      std::int64_t offset = 0;
      for (std::size_t k = 0; k < extents.size(); ++k) {
        offset = offset * extents[k] + (extents[k] == 1 ? 0 : index[index.size() - extents.size() + k]);
      }
      return static_cast<double>(x[static_cast<std::size_t>(offset)]);
    };
    for (const Binary kind : {Binary::add, Binary::subtract, Binary::multiply, Binary::divide,
                              Binary::maximum, Binary::minimum}) {
      const Floats all = everywhere([&](const Way& way) {
        Array<float> left(way, a), right(way, b), flow(way, dy), y(way, dy.size()), da(way, dy.size()),
            db(way, dy.size());
        binary(way.gpu, kind, shape, left, right, y);
        binary_backward(way.gpu, kind, 0, shape, flow, left, right, da);
        binary_backward(way.gpu, kind, 1, shape, flow, left, right, db);
        return join({y.read(), da.read(), db.read()});
      });
      Doubles y, da, db;
      for (std::int64_t i = 0; i < shape.count; ++i) {
        const double u = at(a, c.a, i), v = at(b, c.b, i), h = 1e-6, flow = dy[static_cast<std::size_t>(i)];
        y.push_back(apply(kind, u, v));
        da.push_back(flow * (apply(kind, u + h, v) - apply(kind, u - h, v)) / (2 * h));
        db.push_back(flow * (apply(kind, u, v + h) - apply(kind, u, v - h)) / (2 * h));
      }
      expect_near(part(all, 0, y.size()), y, 1e-6, 1e-6);
      expect_near(part(all, y.size(), y.size()), da, 1e-5, 1e-6);
      expect_near(part(all, 2 * y.size(), y.size()), db, 1e-5, 1e-6);
    }
  }
}

TEST(BinaryTest, TiesAreHalvedAndNaNWins) {
  const std::int64_t three[] = {3};
  const BroadcastShape shape = broadcast_shape(three, three);
  const Floats all = everywhere([&](const Way& way) {
    Array<float> a(way, Floats{2, NAN, 1}), b(way, Floats{2, 1, NAN}), dy(way, Floats{1, 1, 1}), y(way, 3),
        da(way, 3);
    binary(way.gpu, Binary::maximum, shape, a, b, y);
    binary_backward(way.gpu, Binary::maximum, 0, shape, dy, a, b, da);
    return join({y.read(), da.read()});
  });
  EXPECT_EQ(all[3], 0.5f);
  EXPECT_TRUE(std::isnan(all[1]) && std::isnan(all[2]));
  const Floats least = everywhere([&](const Way& way) {
    Array<float> a(way, Floats{2, NAN, 1}), b(way, Floats{2, 1, NAN}), dy(way, Floats{1, 1, 1}), y(way, 3),
        da(way, 3);
    binary(way.gpu, Binary::minimum, shape, a, b, y);
    binary_backward(way.gpu, Binary::minimum, 1, shape, dy, a, b, da);
    return join({y.read(), da.read()});
  });
  EXPECT_EQ(least[3], 0.5f);
  EXPECT_TRUE(std::isnan(least[1]) && std::isnan(least[2]));
}

TEST(ChainTest, StepsInOnePass) {
  const Floats x = uniform(60, -2, 2), row = uniform(12, -1, 1, 2), one = uniform(1, 1, 2, 3),
               whole = uniform(60, -1, 1, 4);
  for (const Accumulate mode : kModes) {
    const Floats old_y = before(mode, 60);
    const Floats y = everywhere([&](const Way& way) {
      Array<float> in(way, x), r(way, row), c(way, one), w(way, whole), out(way, old_y);
      const ChainStep steps[] = {{.op = ChainOp::add, .operand = r, .period = 12},
                                 {.op = ChainOp::multiply, .operand = c, .period = 1},
                                 {.op = ChainOp::relu},
                                 {.op = ChainOp::subtract, .operand = w, .period = 60},
                                 {.op = ChainOp::affine, .scale = 0.5f, .offset = 3},
                                 {.op = ChainOp::relu_slope, .operand = w, .period = 60},
                                 {.op = ChainOp::tanh_slope, .operand = r, .period = 12},
                                 {.op = ChainOp::divide, .operand = c, .period = 1}};
      chain(way.gpu, steps, mode, 60, in, out);
      return out.read();
    });
    Doubles want;
    for (std::size_t i = 0; i < 60; ++i) {
      const double r = row[i % 12], c = one[0], w = whole[i];
      const double v = 0.5 * (std::max(0.0, (x[i] + r) * c) - w) + 3;
      want.push_back(old(mode, old_y, i) + (w > 0 ? v : 0) * (1 - r * r) / c);
    }
    expect_near(y, want, 1e-6, 1e-6);
  }
  const std::vector<ChainStep> nine(9);
  EXPECT_THROW(chain({}, nine, Accumulate::overwrite, 1, nullptr, nullptr), UsageError);
  const ChainStep no_period[] = {{.op = ChainOp::add, .period = 0}};
  EXPECT_THROW(chain({}, no_period, Accumulate::overwrite, 1, nullptr, nullptr), UsageError);
}

TEST(ChainTest, EveryStepIsWhatItsNameSays) {
  const Floats x{-1.5f, 0.25f, 2}, other{0.5f, 0.75f, -0.25f};
  const auto apply = [&](ChainOp op) {
    return everywhere([&](const Way& way) {
      Array<float> in(way, x), operand(way, other), out(way, 3);
      const ChainStep step[] = {{.op = op, .scale = 2, .offset = 1, .operand = operand, .period = 3}};
      chain(way.gpu, step, Accumulate::overwrite, 3, in, out);
      return out.read();
    });
  };
  const auto expect = [&](ChainOp op, auto want) {
    Doubles values;
    for (std::size_t i = 0; i < 3; ++i) values.push_back(want(double{x[i]}, double{other[i]}));
    expect_near(apply(op), values, 2e-6, 1e-6);
  };
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto phi = [](double v) { return std::erfc(-v / std::sqrt(2.0)) / 2; };
  const auto density = [](double v) { return std::exp(-v * v / 2) / std::sqrt(2 * 3.14159265358979); };
  expect(ChainOp::add, [](double v, double o) { return v + o; });
  expect(ChainOp::subtract, [](double v, double o) { return v - o; });
  expect(ChainOp::multiply, [](double v, double o) { return v * o; });
  expect(ChainOp::divide, [](double v, double o) { return v / o; });
  expect(ChainOp::maximum, [](double v, double o) { return std::max(v, o); });
  expect(ChainOp::minimum, [](double v, double o) { return std::min(v, o); });
  expect(ChainOp::affine, [](double v, double) { return 2 * v + 1; });
  expect(ChainOp::relu, [](double v, double) { return std::max(v, 0.0); });
  expect(ChainOp::sigmoid, [&](double v, double) { return sigmoid(v); });
  expect(ChainOp::tanh, [](double v, double) { return std::tanh(v); });
  expect(ChainOp::gelu, [&](double v, double) { return v * phi(v); });
  expect(ChainOp::relu_slope, [](double v, double o) { return o > 0 ? v : 0; });
  expect(ChainOp::sigmoid_slope, [](double v, double o) { return v * o * (1 - o); });
  expect(ChainOp::tanh_slope, [](double v, double o) { return v * (1 - o * o); });
  expect(ChainOp::gelu_slope, [&](double v, double o) { return v * (phi(o) + o * density(o)); });
}

TEST(AffineTest, FloatsAndBytes) {
  const Floats x = uniform(257, -2, 2);
  std::vector<std::uint8_t> bytes;
  for (const std::int32_t v : integers(257, 256)) bytes.push_back(static_cast<std::uint8_t>(v));
  for (const Accumulate mode : kModes) {
    const Floats old_y = before(mode, 257);
    const Floats all = everywhere([&](const Way& way) {
      Array<float> in(way, x), y(way, old_y), z(way, old_y), filled(way, 257);
      Array<std::uint8_t> b(way, bytes);
      affine(way.gpu, {2, -1}, mode, 257, in, y);
      affine(way.gpu, {0.25f, 1}, mode, 257, b, z);
      fill(way.gpu, 257, 7, filled);
      return join({y.read(), z.read(), filled.read()});
    });
    Doubles want;
    for (std::size_t i = 0; i < 257; ++i) want.push_back(old(mode, old_y, i) + 2.0 * x[i] - 1);
    for (std::size_t i = 0; i < 257; ++i) want.push_back(old(mode, old_y, i) + 0.25 * bytes[i] + 1);
    want.insert(want.end(), 257, 7.0);
    expect_near(all, want, 1e-6, 1e-6);
  }
}

TEST(DropoutTest, TheHostsBits) {
  StepState state;
  state.seed = 0x1234'5678'9abcULL, state.step = 41;
  const DropoutAttributes attributes{.rate = 0.3f, .stream = 5};
  for (const std::int64_t n : {0, 1, 3, 4, 5, 1023, 1030}) {
    Floats x = uniform(n, -1, 1);
    if (n > 4) x[2] = INFINITY, x[3] = NAN;
    for (const Accumulate mode : kModes) {
      const Floats old_y = before(mode, x.size());
      const Floats y = everywhere([&](const Way& way) {
        Array<StepState> s(Way{way.gpu, 0}, std::vector<StepState>{state});
        Array<float> in(way, x), out(way, old_y), mask(way, old_y);
        dropout(way.gpu, attributes, s, mode, n, in, out);
        dropout(way.gpu, attributes, s, mode, n, nullptr, mask);  // of ones: the mask itself
        return join({out.read(), mask.read()});
      });
      Doubles want;
      for (const bool masked : {false, true}) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          const bool keep = uniform01(PhiloxKey{state.seed, 5, 41}, i) >= 0.3f;
          const double value = masked ? 1 : x[i];
          want.push_back(old(mode, old_y, i) + (keep ? value * static_cast<double>(1.0f / 0.7f) : 0.0));
        }
      }
      expect_near(y, want, 3e-7, 1e-7);
    }
  }
  EXPECT_THROW(dropout({}, {.rate = 1}, nullptr, Accumulate::overwrite, 1, nullptr, nullptr), UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
