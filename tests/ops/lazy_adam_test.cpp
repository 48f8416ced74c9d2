#include "src/ops/lazy_adam.hpp"

#include "golden_check.hpp"

namespace gpunn::testing {
namespace {

using ops::LazyAdamAttrs;

Check update(const Operand& ids, const Operand& dy, std::int64_t rows, std::int64_t step) {
  const std::int64_t width = dy.spec.shape[-1];
  const auto table = [&](double low, int seed) { return constant(uniform({rows, width}, low, 1, seed)); };
  Check done;
  done.step = {.step = step, .learning_rate = 0.1f, .gradient_scale = 0.5f};
  done.terms = 16;
  done.graph.emit("lazy_adam",
                  {done.input(ids), done.input(dy), done.input(table(-1, 2)), done.input(table(-1, 3)),
                   done.input(table(0, 4))},
                  LazyAdamAttrs{});
  done.run();
  return done;
}

// Ids that repeat and rows that none names; tables of one task and of several.
TEST(LazyAdam, RowsOfTheBatch) {
  for (const std::int64_t step : {0, 5, 100000}) update(classes({9, 7}, 11), uniform({9, 7, 5}), 11, step);
  update(classes({9, 7}, 4000), uniform({9, 7, 64}), 4000, 2);
  update(classes({3}, 2), uniform({3, 1}), 2, 2);
}

TEST(LazyAdam, LeavesOtherRowsAlone) {
  const Check done =
      update(given({2, 2}, {1, 3, 3, 9}, Dtype::i32), uniform({2, 2, 3}), 5, 1);  // 9 is outside
  const Operand before = constant(uniform({5, 3}, -1, 1, 2));
  for (std::size_t i = 0; i < before.values.size(); ++i) {
    const bool named = i / 3 == 1 || i / 3 == 3;
    EXPECT_EQ(done.reference(2)[i] != before.values[i], named) << i;
  }
}

// PyTorch's SparseAdam over several steps.
TEST(LazyAdam, IsSparseAdam) {
  const golden::Family family("lazy_adam");
  const auto ids = values_of(family["steps/input"]), dy = values_of(family["steps/cotangent"]);
  const Shape shape = family["steps/cotangent"].shape();  // [step, batch, time, width]
  const Shape table_shape = family["steps/weight:embeddings"].shape();
  std::vector<double> table = values_of(family["steps/weight:embeddings"]), m(table.size()), v(table.size());
  const auto per_step = static_cast<std::size_t>(shape[1] * shape[2]),
             width = static_cast<std::size_t>(shape[3]);
  const auto after = values_of(family["steps/after:embeddings"]);
  for (std::size_t step = 0; step < static_cast<std::size_t>(shape[0]); ++step) {
    const auto part = [&](const std::vector<double>& all, std::size_t size) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(step * size);
      return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(size));
    };
    Check done;
    done.step = {.step = static_cast<std::int64_t>(step), .learning_rate = 0.25f};
    done.terms = 16;
    const auto state = [&](const std::vector<double>& values) {
      return done.input(constant(given(table_shape, values)));
    };
    done.graph.emit("lazy_adam",
                    {done.input(given({shape[1], shape[2]}, part(ids, per_step), Dtype::i32)),
                     done.input(given({shape[1], shape[2], shape[3]}, part(dy, per_step * width))),
                     state(table), state(m), state(v)},
                    LazyAdamAttrs{.beta1 = 0.875f, .beta2 = 0.96875f, .epsilon = 0x1p-20f});
    done.run();
    table = done.reference(2), m = done.reference(3), v = done.reference(4);
    expect_near(table, part(after, table.size()), 1e-10);
  }
  expect_near(m, values_of(family["steps/slot:embeddings_m"]), 1e-10);
  expect_near(v, values_of(family["steps/slot:embeddings_v"]), 1e-10);
}

TEST(LazyAdam, WrongShapes) {
  const Spec ids{Shape{4, 3}, Dtype::i32}, dy{Shape{4, 3, 2}}, table{Shape{5, 2}};
  expect_shape_error("lazy_adam", LazyAdamAttrs{}, {{Shape{4, 3}}, dy, table, table, table},
                     "ids must be i32");
  expect_shape_error("lazy_adam", LazyAdamAttrs{}, {ids, {Shape{4, 3, 7}}, table, table, table},
                     "dy must be f32");
  expect_shape_error("lazy_adam", LazyAdamAttrs{}, {ids, dy, table, table, {Shape{6, 2}}},
                     "the table, m and v");
}

}  // namespace
}  // namespace gpunn::testing
