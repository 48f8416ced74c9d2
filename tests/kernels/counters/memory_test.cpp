// What every memory-bound kernel asks of memory on aligned arrays, counted by the software device: no more
// sectors of 32 bytes than the bytes it needs fill, and no bank conflict in shared memory.

#include "kernels/activation.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/concatenate.hpp"
#include "kernels/dropout.hpp"
#include "kernels/element_loss.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/optimizers.hpp"
#include "kernels/pool.hpp"
#include "kernels/reduce.hpp"
#include "kernels/softmax.hpp"
#include "kernels/softmax_cross_entropy.hpp"
#include "kernels/transpose.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

constexpr std::int64_t kRows = 64, kColumns = 64, kCount = kRows * kColumns;
constexpr Accumulate kOverwrite = Accumulate::overwrite;

class MemoryTest : public testing::Test {
 protected:
  cudaStream_t stream = nullptr;
  Way way;

  void SetUp() override {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    way = {Gpu{stream, 2}, 0};
  }
  void TearDown() override { check(cudaStreamDestroy(stream)); }

  Array<float> array(std::int64_t n, std::uint64_t seed = 1) {
    return Array<float>(way, uniform(n, 0.1f, 0.9f, seed));
  }

  // `single`: sectors of which only a part is wanted, such as a sum or two floats of a result, in each block.
  template <class Run>
  void expect_ideal(const char* what, Run run, std::uint64_t single = 0) {
    SCOPED_TRACE(what);
    simt::clear_launches();
    run();
    check(cudaStreamSynchronize(stream));
    ASSERT_FALSE(simt::launches().empty());
    for (const simt::Counters& c : simt::launches()) {
      ASSERT_TRUE(c.accesses_counted);
      EXPECT_GT(c.global_store_requests, 0u);
      EXPECT_LE(c.global_load_sectors, c.global_load_bytes / 32 + single * c.blocks)
          << "loads of " << c.kernel;
      EXPECT_LE(c.global_store_sectors, c.global_store_bytes / 32 + single * c.blocks)
          << "stores of " << c.kernel;
      EXPECT_EQ(c.bank_conflicts, 0u) << c.kernel;
    }
  }
};

TEST_F(MemoryTest, Elementwise) {
  auto x = array(kCount), z = array(kCount, 2), y = array(kCount, 3);
  for (const Activation kind : {Activation::relu, Activation::tanh, Activation::gelu}) {
    expect_ideal("activation", [&] { activation_forward(way.gpu, kind, kCount, x, y); });
    expect_ideal("its gradient", [&] { activation_backward(way.gpu, kind, kOverwrite, kCount, x, z, y); });
  }
  expect_ideal("affine", [&] { affine(way.gpu, {2, 1}, Accumulate::add, kCount, x, y); });
  expect_ideal("fill", [&] { fill(way.gpu, kCount, 1, y); });
  const std::int64_t whole[] = {kRows, kColumns}, row[] = {kColumns};
  expect_ideal("sum", [&] { binary(way.gpu, Binary::add, broadcast_shape(whole, whole), x, z, y); });
  expect_ideal("sum with a row", [&] { binary(way.gpu, Binary::add, broadcast_shape(whole, row), x, z, y); });
  const ChainStep steps[] = {{.op = ChainOp::add, .operand = z, .period = kCount}, {.op = ChainOp::relu}};
  expect_ideal("chain", [&] { chain(way.gpu, steps, kOverwrite, kCount, x, y); });
  Array<StepState> state(way, std::vector<StepState>(1));
  expect_ideal("dropout", [&] { dropout(way.gpu, {.rate = 0.25f}, state, kOverwrite, kCount, x, y); });
}

// The measure itself: what begins at an odd address takes more sectors than its bytes fill.
TEST_F(MemoryTest, OddAddressesCostSectors) {
  const Way odd{way.gpu, 1};
  Array<float> x(odd, uniform(kCount, 0, 1)), y(odd, uniform(kCount, 0, 1));
  simt::clear_launches();
  affine(way.gpu, {2, 1}, kOverwrite, kCount, x, y);
  check(cudaStreamSynchronize(stream));
  const simt::Counters& c = simt::launches().back();
  EXPECT_GT(c.global_load_sectors, c.global_load_bytes / 32);
  EXPECT_GT(c.global_store_sectors, c.global_store_bytes / 32);
}

TEST_F(MemoryTest, Pooling) {
  const PoolGeometry g{.batch = 2, .channels = 32, .height = {2, 2, 0, 8, 4}, .width = {2, 2, 0, 8, 4}};
  const std::int64_t inputs = 2 * 8 * 8 * 32, outputs = inputs / 4;
  auto x = array(inputs), dx = array(inputs), y = array(outputs), dy = array(outputs);
  Array<std::int32_t> argmax(way, static_cast<std::size_t>(outputs));
  expect_ideal("max", [&] { max_pool_forward(way.gpu, g, x, y, argmax); });
  expect_ideal("its gradient", [&] { max_pool_backward(way.gpu, g, kOverwrite, dy, argmax, dx); });
  expect_ideal("through relu", [&] {
    max_pool_backward(way.gpu, g, kOverwrite, dy, argmax, dx, {Activation::relu, y});
  });
  expect_ideal("average", [&] { average_pool_forward(way.gpu, g, x, y); });
  expect_ideal("its gradient", [&] { average_pool_backward(way.gpu, g, Accumulate::add, dy, dx); });
}

TEST_F(MemoryTest, Softmax) {
  auto x = array(kCount), dy = array(kCount, 2), y = array(kCount, 3);
  expect_ideal("softmax", [&] { softmax_forward(way.gpu, {kRows, kColumns}, x, y); });
  expect_ideal("its gradient", [&] { softmax_backward(way.gpu, {kRows, kColumns}, kOverwrite, x, dy, y); });
  auto wide = array(2 * 2048), out = array(2 * 2048);  // a block to a row
  expect_ideal("softmax", [&] { softmax_forward(way.gpu, {2, 2048}, wide, out); });
}

TEST_F(MemoryTest, Losses) {
  constexpr std::uint64_t kResults = 4;  // loss and metric, by one thread
  auto x = array(kCount), t = array(kCount, 2), p = array(kCount, 3), dx = array(kCount, 4), loss = array(2),
       metric = array(2);
  Array<std::int32_t> labels(way, integers(kRows, kColumns));
  const Matrix shape{kRows, kColumns};
  const LossOutputs out{.loss = loss, .metric = metric, .probabilities = p};
  expect_ideal(
      "labels",
      [&] {
        softmax_cross_entropy(way.gpu, shape, x, {labels, nullptr}, nullptr, out, {.dx = dx});
      },
      kResults);
  expect_ideal(
      "distribution",
      [&] {
        softmax_cross_entropy(way.gpu, shape, x, {nullptr, t}, nullptr, out, {.dx = dx});
      },
      kResults);
  expect_ideal("gradient", [&] {
    softmax_cross_entropy_backward(way.gpu, shape, p, {labels, nullptr}, nullptr, {.dx = dx});
  });
  expect_ideal(
      "sigmoid",
      [&] {
        element_loss(way.gpu, ElementLoss::sigmoid_cross_entropy, shape, x, t, nullptr, out, {.dx = dx});
      },
      kResults);
}

TEST_F(MemoryTest, SumsOverRowsAndColumns) {
  auto x = array(kCount), columns = array(kColumns), rows = array(kRows);
  expect_ideal("over rows",
               [&] { reduce_sum(way.gpu, over_rows(kRows, kColumns), kOverwrite, 1, x, columns, nullptr); });
  const std::int64_t extents[] = {kRows, kColumns};
  // A warp to a row: its sum is one float of a sector.
  expect_ideal(
      "over columns",
      [&] { reduce_sum(way.gpu, reduce_shape(extents, 0b10), kOverwrite, 1, x, rows, nullptr); }, 8);
}

TEST_F(MemoryTest, BatchNorm) {
  auto x = array(kCount), dy = array(kCount, 2), y = array(kCount, 3), mean = array(kColumns),
       variance = array(kColumns), gamma = array(kColumns), beta = array(kColumns);
  const Matrix shape{kRows, kColumns};
  const BatchNormStatistics statistics{mean, variance};
  expect_ideal("forward", [&] { batch_norm_forward(way.gpu, shape, statistics, gamma, beta, x, y); });
  expect_ideal("mean", [&] { batch_norm_mean(way.gpu, shape, {}, x, mean, nullptr); });
  expect_ideal("backward", [&] {
    batch_norm_backward(way.gpu, shape, {}, kOverwrite, statistics, gamma, x, dy, gamma, beta, y);
  });
}

TEST_F(MemoryTest, MovingRows) {
  auto x = array(kCount), y = array(kCount, 2), z = array(2 * kCount, 3);
  const std::int64_t extents[] = {kRows, kColumns};
  const int order[] = {1, 0};
  expect_ideal("transpose", [&] { transpose(way.gpu, extents, order, kOverwrite, x, y); });
  const std::int64_t three[] = {4, 32, 32};
  const int swapped[] = {0, 2, 1};
  expect_ideal("transposed matrices", [&] { transpose(way.gpu, three, swapped, kOverwrite, x, y); });
  const ColumnBlock blocks[] = {{x, kColumns}, {y, kColumns}};
  expect_ideal("concatenate", [&] { concatenate(way.gpu, kRows, blocks, z); });
  expect_ideal("cut", [&] {
    cut_columns(way.gpu, {kRows, 2 * kColumns, kColumns, kColumns}, kOverwrite, z, y);
  });
  std::vector<std::int64_t> backwards(kRows);
  for (std::int64_t i = 0; i < kRows; ++i) backwards[static_cast<std::size_t>(i)] = kRows - 1 - i;
  Array<std::int64_t> indices(way, backwards);
  expect_ideal("gather", [&] {
    gather_rows(way.gpu, {kRows, kColumns, kRows}, Affine{}, x, indices, {}, y);
  });
  Array<std::int32_t> ids(way, integers(kRows, kRows));
  expect_ideal("embedding", [&] { embedding_forward(way.gpu, {kRows, kColumns, kRows}, ids, x, y); });
}

TEST_F(MemoryTest, Optimizers) {
  auto w = array(kCount), g = array(kCount, 2), m = array(kCount, 3), v = array(kCount, 4);
  Array<StepState> state(way, std::vector<StepState>(1));
  std::vector<UpdatePiece> table;
  constexpr std::int32_t kPiece = 2048;
  for (std::int64_t at = 0; at < kCount; at += kPiece) table.push_back({.begin = at, .count = kPiece});
  Array<UpdatePiece> pieces(way, table);
  const Pieces all{pieces, static_cast<std::int64_t>(table.size())};
  expect_ideal("adam", [&] { adam(way.gpu, all, {}, {}, state, {w, g}, m, v); });
  expect_ideal("sgd", [&] { sgd(way.gpu, all, {}, {}, state, {w, g}, nullptr); });
  auto sums = array(2);
  expect_ideal(
      "norms", [&] { squared_norms(way.gpu, all, g, sums); }, 1);
}

}  // namespace
}  // namespace gpunn::kernels
