#include "kernels/optimizers.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

constexpr std::int64_t kSmallPieces = kSmallTests ? 16 : 300;

// Segments with gaps of padding between them: odd bounds, one that crosses pieces, and more small ones than
// the blocks of a small device.
std::vector<UpdatePiece> make_pieces() {
  std::vector<UpdatePiece> pieces = {
      {0, 7, 1, 0.1f}, {13, 1, 0.5f, 0}, {64, 2048, 2, 0.01f}, {2112, 301, 2, 0.01f}};
  for (std::int64_t i = 0; i < kSmallPieces; ++i) pieces.push_back({2420 + 4 * i, 3, 1, 0.05f});
  return pieces;
}
const std::vector<UpdatePiece> kPieces = make_pieces();
constexpr std::int64_t kPieceCount = 4 + kSmallPieces;
constexpr std::size_t kSize = 3700;

bool covered(std::size_t i, float& factor, float& decay) {
  for (const UpdatePiece& p : kPieces) {
    if (i >= static_cast<std::size_t>(p.begin) && i < static_cast<std::size_t>(p.begin + p.count)) {
      factor = p.learning_rate_factor, decay = p.weight_decay;
      return true;
    }
  }
  return false;
}

struct Expected {
  Doubles w, first, second;
};

TEST(OptimizersTest, AdamIsKerassForSeveralSteps) {
  for (const bool decoupled : {true, false}) {
    for (const bool clipped : {true, false}) {
      const Floats w0 = uniform(kSize, -1, 1), g = uniform(kSize, -1, 1, 2);
      StepState state;
      state.learning_rate = 0.01f, state.gradient_scale = 0.5f;
      constexpr int kSteps = 3;
      const Floats all = everywhere([&](const Way& way) {
        const Way even{way.gpu, 0};
        Array<UpdatePiece> table(even, kPieces);
        Array<StepState> s(even, std::vector<StepState>{state});
        Array<float> w(way, w0), grad(way, g), m(way, Floats(kSize, 0)), v(way, Floats(kSize, 0)),
            sums(way, kPieceCount), norm(way, 1);
        const Pieces pieces{table, kPieceCount};
        for (int step = 0; step < kSteps; ++step) {
          Clip clip;
          if (clipped) {
            squared_norms(way.gpu, pieces, grad, sums);
            global_norm(way.gpu, kPieceCount, sums, s, norm);
            clip = {norm, 3.0f};
          }
          adam(way.gpu, pieces, {.decoupled = decoupled}, clip, s, {w, grad}, m, v);
          finish_step(way.gpu, {}, s);
        }
        EXPECT_EQ(s.read()[0].step, kSteps);
        return join({w.read(), m.read(), v.read()});
      });
      Expected e{Doubles(w0.begin(), w0.end()), Doubles(kSize), Doubles(kSize)};
      double squares = 0;
      float factor, decay;
      for (std::size_t i = 0; i < kSize; ++i) {
        if (covered(i, factor, decay)) squares += 0.25 * g[i] * g[i];
      }
      const double scale = 0.5 * (clipped ? std::min(1.0, 3.0 / std::sqrt(squares)) : 1.0);
      for (int t = 1; t <= kSteps; ++t) {
        for (std::size_t i = 0; i < kSize; ++i) {
          if (!covered(i, factor, decay)) continue;
          double grad = g[i] * scale;
          const double lr = 0.01f * static_cast<double>(factor);
          if (decoupled) {
            e.w[i] -= e.w[i] * decay * lr;
          } else {
            grad += decay * e.w[i];
          }
          e.first[i] += (grad - e.first[i]) * (1 - 0.9);
          e.second[i] += (grad * grad - e.second[i]) * (1 - 0.999);
          const double corrected = lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
          e.w[i] -= e.first[i] * corrected / (std::sqrt(e.second[i]) + 1e-7);
        }
      }
      expect_near(part(all, 0, kSize), e.w, 2e-6, 1e-6);
      expect_near(part(all, kSize, kSize), e.first, 2e-6, 1e-9);
      expect_near(part(all, 2 * kSize, kSize), e.second, 2e-6, 1e-12);
    }
  }
}

TEST(OptimizersTest, SgdPlainMomentumNesterov) {
  struct Case {
    float momentum;
    bool nesterov;
  };
  for (const Case c : {Case{0, false}, Case{0.9f, false}, Case{0.9f, true}}) {
    const Floats w0 = uniform(kSize, -1, 1), g = uniform(kSize, -1, 1, 2),
                 v0 = uniform(kSize, -0.1f, 0.1f, 3);
    StepState state;
    state.learning_rate = 0.1f;
    const bool with_velocity = c.momentum > 0;
    const Floats all = everywhere([&](const Way& way) {
      const Way even{way.gpu, 0};
      Array<UpdatePiece> table(even, kPieces);
      Array<StepState> s(even, std::vector<StepState>{state});
      Array<float> w(way, w0), grad(way, g), velocity(way, v0);
      sgd(way.gpu, {table, kPieceCount}, {c.momentum, c.nesterov}, {}, s, {w, grad},
          with_velocity ? velocity.data() : nullptr);
      return join({w.read(), velocity.read()});
    });
    Expected e{Doubles(w0.begin(), w0.end()), Doubles(v0.begin(), v0.end()), {}};
    for (std::size_t i = 0; i < kSize; ++i) {
      float factor, decay;
      if (!covered(i, factor, decay)) continue;
      const double lr = 0.1f * static_cast<double>(factor);
      e.w[i] -= e.w[i] * decay * lr;
      if (with_velocity) e.first[i] = c.momentum * e.first[i] - lr * g[i];
      e.w[i] += !with_velocity ? -lr * g[i] : c.nesterov ? c.momentum * e.first[i] - lr * g[i] : e.first[i];
    }
    expect_near(part(all, 0, kSize), e.w, 1e-6, 1e-7);
    expect_near(part(all, kSize, kSize), e.first, 1e-6, 1e-8);
  }
}

TEST(OptimizersTest, AGradientThatIsNotFiniteChangesNothing) {
  const Floats w0 = uniform(kSize, -1, 1);
  for (const float bad : {NAN, INFINITY, 1e25f}) {  // the last overflows when squared
    Floats g = uniform(kSize, -1, 1, 2);
    g[2200] = bad;
    const Floats w = everywhere([&](const Way& way) {
      const Way even{way.gpu, 0};
      Array<UpdatePiece> table(even, kPieces);
      Array<StepState> s(even, std::vector<StepState>(1));
      Array<float> values(way, w0), grad(way, g), m(way, Floats(kSize, 0)), v(way, Floats(kSize, 0)),
          sums(way, kPieceCount), norm(way, 1);
      const Pieces pieces{table, kPieceCount};
      squared_norms(way.gpu, pieces, grad, sums);
      global_norm(way.gpu, kPieceCount, sums, s, norm);
      adam(way.gpu, pieces, {}, {norm, 1.0f, true}, s, {values, grad}, m, v);
      sgd(way.gpu, pieces, {}, {norm, 0, true}, s, {values, grad}, nullptr);
      sgd(way.gpu, pieces, {0.9f, true}, {norm, 1.0f, true}, s, {values, grad}, m);
      return join({values.read(), m.read(), v.read()});
    });
    EXPECT_EQ(part(w, 0, kSize), w0);
    EXPECT_EQ(part(w, kSize, 2 * kSize), Floats(2 * kSize, 0));
  }
}

// A norm that is finite leaves nothing out, and one that is not only where that was asked for.
TEST(OptimizersTest, OnlyWhatIsNotFiniteIsLeftOut) {
  const Floats w0 = uniform(kSize, -1, 1), g = uniform(kSize, -1, 1, 2);
  StepState state;
  state.learning_rate = 0.1f;
  const auto run = [&](float norm_value, float to, bool skip) {
    return everywhere([&](const Way& way) {
      const Way even{way.gpu, 0};
      Array<UpdatePiece> table(even, kPieces);
      Array<StepState> s(even, std::vector<StepState>{state});
      Array<float> values(way, w0), grad(way, g), norm(way, Floats{norm_value});
      sgd(way.gpu, {table, kPieceCount}, {}, {norm, to, skip}, s, {values, grad}, nullptr);
      return values.read();
    });
  };
  const Floats plain = run(0.5f, 0, false);
  EXPECT_NE(plain, w0);
  EXPECT_EQ(run(0.5f, 0, true), plain);
  EXPECT_EQ(run(INFINITY, 0, false), plain);
  EXPECT_EQ(run(INFINITY, 0, true), w0);
  EXPECT_TRUE(std::isnan(run(INFINITY, 1, false)[0]));
}

TEST(OptimizersTest, MomentumAndVelocityGoTogether) {
  float x = 0;
  EXPECT_THROW(sgd({}, {nullptr, 0}, {0.9f, false}, {}, nullptr, {&x, &x}, nullptr), UsageError);
  EXPECT_THROW(sgd({}, {nullptr, 0}, {0, false}, {}, nullptr, {&x, &x}, &x), UsageError);
}

TEST(OptimizersTest, ResultsGoRoundTheRing) {
  const Floats ring = everywhere([&](const Way& way) {
    Array<StepState> s(Way{way.gpu, 0}, std::vector<StepState>(1));
    Array<float> lines(way, Floats(6, -1)), results(way, Floats{3, 4});
    for (int step = 0; step < 4; ++step) {
      Array<float> fresh(way, Floats{static_cast<float>(step), static_cast<float>(10 * step)});
      finish_step(way.gpu, {lines, 3, fresh, 2}, s);
      fresh.read();
    }
    return lines.read();
  });
  EXPECT_EQ(ring, (Floats{3, 30, 1, 10, 2, 20}));
}

TEST(OptimizersTest, ALongLineOfResults) {
  constexpr std::int64_t kLong = 600;
  const Floats values = uniform(kLong, -1, 1);
  const Floats ring = everywhere([&](const Way& way) {
    Array<StepState> s(Way{way.gpu, 0}, std::vector<StepState>(1));
    Array<float> line(way, kLong), results(way, values);
    finish_step(way.gpu, {line, 1, results, kLong}, s);
    return line.read();
  });
  EXPECT_EQ(ring, values);
  float x = 0;
  EXPECT_THROW(finish_step({}, {&x, 0, &x, 1}, nullptr), UsageError);
}

}  // namespace
}  // namespace gpunn::kernels
