#include <string>

#include "tests/simd/simd_test.hpp"

namespace gpunn::cpu::simd {
namespace {

class DenseTest : public OnEveryIsa {};
GPUNN_TEST_ON_EVERY_ISA(DenseTest);

enum class Form { nn, nt, tn, packed, packed_transposed };
constexpr Form kForms[] = {Form::nn, Form::nt, Form::tn, Form::packed, Form::packed_transposed};

double act(Activation a, double x) {
  switch (a) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  }
  return 0;
}

double slope(Activation a, double y) {
  switch (a) {
    case Activation::relu:
      return y > 0 ? 1 : 0;
    case Activation::sigmoid:
      return y * (1 - y);
    case Activation::tanh:
      return 1 - y * y;
    default:
      return 1;
  }
}

// One product with operands of the form's layouts, whose rows are `gap` longer than they need be.
struct Product {
  Product(const DenseKernels& kernels, Form f, std::int64_t m, std::int64_t n, std::int64_t k,
          std::int64_t gap = 0)
      : table(kernels), form(f) {
    b_transposed = f == Form::nt || f == Form::packed_transposed;
    a_transposed = f == Form::tn;
    g.m = m, g.n = n, g.k = k;
    g.lda = (a_transposed ? m : k) + gap;
    g.ldb = (b_transposed ? k : n) + gap;
    g.ldc = n + gap;
    a = uniform((a_transposed ? k : m) * g.lda, -1, 1, 1);
    b = uniform((b_transposed ? n : k) * g.ldb, -1, 1, 2);
    c.assign(static_cast<std::size_t>(m * g.ldc), std::nanf(""));
    bias = uniform(n, -1, 1, 3);
    kept = uniform(m * g.ldc, -1, 1, 4);
    g.ldkept = g.ldc;
  }

  double at(std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t k = 0; k < g.k; ++k) {
      const double x = a[static_cast<std::size_t>(a_transposed ? k * g.lda + i : i * g.lda + k)];
      sum += x * b[static_cast<std::size_t>(b_transposed ? j * g.ldb + k : k * g.ldb + j)];
    }
    return sum;
  }

  // c, and the same in double.
  std::pair<Vec1, Ref1> run() {
    Vec1 before = c;
    g.a = a.data(), g.b = b.data(), g.c = c.data(), g.kept = kept.data();
    Vec1 panels(static_cast<std::size_t>(table.packed_floats(g.k, g.n)), std::nanf(""));
    if (form == Form::packed) table.pack(g.k, g.n, b.data(), g.ldb, panels.data());
    if (form == Form::packed_transposed) table.pack_transposed(g.k, g.n, b.data(), g.ldb, panels.data());
    switch (form) {
      case Form::nn:
        table.nn(g);
        break;
      case Form::nt:
        table.nt(g);
        break;
      case Form::tn:
        table.tn(g);
        break;
      default:
        g.b = panels.data(), table.nn_packed(g);
    }
    std::pair<Vec1, Ref1> result;
    for (std::int64_t i = 0; i < g.m; ++i) {
      for (std::int64_t j = 0; j < g.ldc; ++j) {
        const auto at_c = static_cast<std::size_t>(i * g.ldc + j);
        if (j >= g.n) {
          EXPECT_EQ(std::isnan(c[at_c]), std::isnan(before[at_c])) << "wrote between rows";
          continue;
        }
        const double sum = at(i, j) + (g.bias ? g.bias[j] : 0) + (g.add ? before[at_c] : 0);
        result.first.push_back(c[at_c]);
        result.second.push_back(act(g.activation, sum) * slope(g.slope_of, kept[at_c]));
      }
    }
    return result;
  }

  const DenseKernels& table;
  Form form;
  Gemm g;
  bool b_transposed, a_transposed;
  Vec1 a, b, c, bias, kept;
};

std::string describe(Form f, const Gemm& g) {
  return "form " + std::to_string(static_cast<int>(f)) + " " + std::to_string(g.m) + "x" +
         std::to_string(g.n) + "x" + std::to_string(g.k);
}

TEST_P(DenseTest, ProductsOfEdgeSizes) {
  for (const Form form : kForms) {
    for (const std::int64_t m : {0, 1, 2, 7, 13, 37}) {
      for (const std::int64_t n : {0, 1, 3, 8, 10, 16, 17, 33, 50}) {
        for (const std::int64_t k : {0, 1, 5, 10, 32, 193}) {
          Product p(kernels().dense, form, m, n, k, 3);
          const auto [got, want] = p.run();
          ASSERT_TRUE(near(got, want, static_cast<double>(k))) << describe(form, p.g);
        }
      }
    }
  }
}

// More rows, columns and depth than one block, and rows of B far enough apart to be packed on the way.
TEST_P(DenseTest, ProductsOfSeveralBlocks) {
  for (const Form form : kForms) {
    Product p(kernels().dense, form, 261, 150, 389);
    const auto [got, want] = p.run();
    EXPECT_TRUE(near(got, want, 389)) << describe(form, p.g);
  }
}

TEST_P(DenseTest, ContiguousColumnsTakeTheirOwnWay) {
  for (const Form form : kForms) {
    for (const std::int64_t rows : {1, 5, 16, 31, 64}) {
      for (const std::int64_t k : {0, 1, 10, 64, 200}) {
        Product p(kernels().dense, form, rows, 1, k);
        const auto [got, want] = p.run();
        ASSERT_TRUE(near(got, want, static_cast<double>(k))) << describe(form, p.g);
        Product outer(kernels().dense, form, rows, 20, 1);
        const auto [got_outer, want_outer] = outer.run();
        ASSERT_TRUE(near(got_outer, want_outer, 1)) << describe(form, outer.g);
      }
    }
  }
}

TEST_P(DenseTest, EpiloguesInEveryForm) {
  for (const Form form : kForms) {
    for (const std::int64_t n : {1, 10, 64}) {
      for (const Activation a :
           {Activation::linear, Activation::relu, Activation::sigmoid, Activation::tanh, Activation::gelu}) {
        Product p(kernels().dense, form, 19, n, 200);
        p.g.bias = p.bias.data();
        p.g.activation = a;
        p.g.slope_of = a == Activation::gelu ? Activation::linear : a;
        const auto [got, want] = p.run();
        EXPECT_TRUE(near(got, want, 200)) << describe(form, p.g) << " activation " << static_cast<int>(a);
      }
      Product p(kernels().dense, form, 19, n, 200);
      p.g.add = true;
      p.c = uniform(19 * n, -5, 5, 9);
      const auto [got, want] = p.run();
      EXPECT_TRUE(near(got, want, 200)) << describe(form, p.g) << " add";
    }
  }
}

TEST_P(DenseTest, NanAndInfinityReachTheirRowsAlone) {
  for (const Form form : kForms) {
    Product p(kernels().dense, form, 6, 20, 7);
    p.a[static_cast<std::size_t>(p.a_transposed ? 2 : 2 * p.g.lda)] = std::nanf("");
    p.g.activation = Activation::relu;
    p.run();
    for (std::size_t i = 0; i < p.c.size(); ++i) EXPECT_EQ(std::isnan(p.c[i]), i / 20 == 2) << i;
  }
}

// Slices of a batch give the bits of the whole: rows in any grouping.
TEST_P(DenseTest, RowsDoNotDependOnTheirNeighbours) {
  for (const Form form : {Form::nn, Form::nt, Form::packed}) {
    for (const std::int64_t n : {1, 10, 64}) {
      Product whole(kernels().dense, form, 32, n, 300);
      whole.run();
      for (const std::int64_t rows : {1, 5, 8, 16}) {
        Product part(kernels().dense, form, 32, n, 300);
        part.g.m = rows;
        part.run();
        for (std::int64_t i = 0; i < rows * n; ++i) {
          ASSERT_EQ(part.c[static_cast<std::size_t>(i)], whole.c[static_cast<std::size_t>(i)]) << rows;
        }
      }
    }
  }
}

TEST_P(DenseTest, ColumnSumsAndTransposes) {
  for (const std::int64_t columns : kEdgeSizes) {
    for (const std::int64_t rows : {0, 1, 16, 29}) {
      const Vec1 x = uniform(rows * columns, -1, 1);
      Vec1 fresh(static_cast<std::size_t>(columns), std::nanf("")), added(fresh.size(), 2),
          turned(x.size(), std::nanf(""));
      kernels().dense.column_sums(rows, columns, x.data(), columns, fresh.data(), false);
      kernels().dense.column_sums(rows, columns, x.data(), columns, added.data(), true);
      kernels().dense.transpose(rows, columns, x.data(), turned.data());
      Ref1 sums(fresh.size(), 0.0), more(fresh.size(), 2.0);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          const float value = x[static_cast<std::size_t>(i * columns + j)];
          sums[static_cast<std::size_t>(j)] += value, more[static_cast<std::size_t>(j)] += value;
          ASSERT_EQ(turned[static_cast<std::size_t>(j * rows + i)], value);
        }
      }
      EXPECT_TRUE(near(fresh, sums, static_cast<double>(rows))) << rows << "x" << columns;
      EXPECT_TRUE(near(added, more, static_cast<double>(rows))) << rows << "x" << columns;
    }
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
