// What every memory-bound kernel asks of memory on aligned arrays, counted by the software device: no more
// sectors of 32 bytes than the bytes it needs fill, and no bank conflict in shared memory.

#include "kernels/activation.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/concatenate.hpp"
#include "kernels/conv2d_direct.hpp"
#include "kernels/dropout.hpp"
#include "kernels/element_loss.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/gather.hpp"
#include "kernels/lazy_adam.hpp"
#include "kernels/loss_weights.hpp"
#include "kernels/optimizers.hpp"
#include "kernels/pool.hpp"
#include "kernels/recurrent_steps.hpp"
#include "kernels/reduce.hpp"
#include "kernels/rnn_weights.hpp"
#include "kernels/sequence.hpp"
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
  for (const int operand : {0, 1}) {
    expect_ideal("gradient of a product", [&] {
      binary_backward(way.gpu, Binary::multiply, operand, broadcast_shape(whole, whole), y, x, z, y);
    });
    expect_ideal("gradient of a product with a row", [&] {
      binary_backward(way.gpu, Binary::multiply, operand, broadcast_shape(whole, row), y, x, z, y);
    });
  }
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

// Of its loads only what all lanes share is no whole sector.
TEST_F(MemoryTest, ConvolutionOfFewTaps) {
  const ConvGeometry g{.batch = 2,
                       .in = 1,
                       .out = 32,
                       .height = {.in = 10, .out = 8, .kernel = 3},
                       .width = {.in = 10, .out = 8, .kernel = 3}};
  const std::int64_t outputs = g.y_pixels() * g.out;
  auto x = array(g.x_pixels()), w = array(g.taps() * g.out, 2), y = array(outputs, 3);
  simt::clear_launches();
  conv2d_forward(way.gpu, g, x, w, {}, y, nullptr);
  check(cudaStreamSynchronize(stream));
  ASSERT_EQ(simt::launches().size(), 1u);
  const simt::Counters& c = simt::launches()[0];
  EXPECT_EQ(c.global_store_sectors, c.global_store_bytes / 32);
  EXPECT_EQ(c.global_store_bytes, static_cast<std::uint64_t>(outputs) * sizeof(float));
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

TEST_F(MemoryTest, LossesApart) {
  constexpr std::uint64_t kResults = 4;
  auto x = array(kCount), t = array(kCount, 2), dx = array(kCount, 4), loss = array(2), metric = array(2),
       weights = array(kRows, 5);
  Array<std::int32_t> labels(way, integers(kRows, kColumns));
  const Matrix shape{kRows, kColumns};
  expect_ideal(
      "cross-entropy of probabilities",
      [&] {
        cross_entropy(way.gpu, shape, x, {labels, nullptr}, weights, {.loss = loss, .metric = metric},
                      {.dx = dx});
      },
      kResults);
  expect_ideal("its gradient alone", [&] {
    cross_entropy(way.gpu, shape, x, {nullptr, t}, nullptr, {}, {.dx = dx});
  });
  expect_ideal(
      "accuracy",
      [&] {
        class_accuracy(way.gpu, shape, x, {labels, nullptr}, nullptr, {.metric = metric});
      },
      kResults);
  for (const ElementLoss kind : {ElementLoss::sigmoid_cross_entropy, ElementLoss::squared_error}) {
    expect_ideal("gradient", [&] {
      element_loss_backward(way.gpu, kind, shape, x, t, weights, {.dx = dx, .mode = Accumulate::add});
    });
  }
}

TEST_F(MemoryTest, MasksAndWeights) {
  const SequenceShape tokens{.rows = 32, .steps = 128, .features = 1},
      features{.rows = 8, .steps = 16, .features = 32};
  auto x = array(kCount), y = array(kCount, 2), weights = array(32, 3), count = array(1);
  Array<std::int32_t> ids(way, integers(kCount, 3));
  Array<std::uint8_t> mask(way, std::vector<std::uint8_t>(kCount, 1)),
      other(way, std::vector<std::uint8_t>(kCount, 0)), joined(way, 2 * kCount);
  expect_ideal("tokens", [&] { sequence_mask(way.gpu, tokens, 0, ids, mask); });
  // A warp to a step: its byte is one of a sector.
  expect_ideal(
      "features", [&] { sequence_mask(way.gpu, features, 0.5f, x, mask); }, 8);
  expect_ideal("masked", [&] { apply_mask(way.gpu, features, kOverwrite, x, mask, y); });
  expect_ideal("reversed", [&] { reverse(way.gpu, features, kOverwrite, x, y); });
  expect_ideal("either", [&] { either_mask(way.gpu, kCount, mask, other, joined); });
  expect_ideal("joined", [&] { join_masks(way.gpu, 32, 128, 128, mask, other, joined); });
  expect_ideal(
      "count", [&] { mask_count(way.gpu, kCount, mask, count, nullptr); }, 1);
  expect_ideal("weights", [&] {
    loss_weights(way.gpu, {.rows = kCount, .rows_per_weight = 128, .rows_per_step = 1}, weights, mask, count,
                 y);
  });
}

TEST_F(MemoryTest, RecurrentSteps) {
  constexpr std::int64_t kUnits = 64, kGates = 4, kSteps = 2;
  const RecurrentSteps steps{
      .shape = {.cell = RecurrentCell::lstm, .rows = kRows, .steps = kSteps, .units = kUnits}};
  constexpr std::int64_t kStates = kRows * kUnits, kAll = kStates * kSteps;
  auto gates = array(kGates * kAll), s = array(kGates * kStates, 2), h = array(kStates, 3),
       c = array(kStates, 4), out = array(kAll, 5), kept = array(kGates * kAll, 6), cells = array(kAll, 7),
       dh = array(kStates, 8), dc = array(kStates, 9), products = array(kStates, 10),
       before = array(kAll, 11);
  const RecurrentState state{.h = h, .c = c, .s = s};
  expect_ideal("begin", [&] { recurrent_steps_begin(way.gpu, steps, dh, dc, state); });
  expect_ideal("a step", [&] {
    recurrent_step_forward(way.gpu, steps, 1, {.x_gates = gates, .y = out, .kept = kept, .cells = cells},
                           state);
  });
  const RecurrentBackward back{
      .y = out, .kept = kept, .cells = cells, .dy = out, .dx_gates = gates, .h_before = before};
  expect_ideal("a step back", [&] {
    recurrent_step_backward(way.gpu, steps, 0, back, {.dh = dh, .dc = dc, .products = products, .ds = s});
  });
  auto masks = array(kRows * kUnits), x = array(kRows * kSteps * kUnits),
       y = array(kRows * kSteps * kUnits, 2);
  const FeatureMasks features{.rows = kRows, .steps = kSteps, .features = kUnits};
  expect_ideal("masked features", [&] { mask_features(way.gpu, features, masks, x, y); });
  expect_ideal("their gradient", [&] { mask_features_backward(way.gpu, features, kOverwrite, masks, x, y); });
  RnnWeights layout{.input = kUnits, .units = kUnits, .gates = kGates};
  constexpr std::int64_t kMatrix = kUnits * kUnits;
  for (std::int64_t g = 0; g < kGates; ++g) {
    layout.kernel[static_cast<std::size_t>(g)] = 2 * g * kMatrix;
    layout.recurrent[static_cast<std::size_t>(g)] = (2 * g + 1) * kMatrix;
    layout.bias[static_cast<std::size_t>(g)] = 2 * kGates * kMatrix + g * kUnits;
  }
  auto kernel = array(kGates * kMatrix), recurrent = array(kGates * kMatrix, 2),
       bias = array(kGates * kUnits, 3), space = array(2 * kGates * kMatrix + kGates * kUnits, 4);
  expect_ideal("packed weights", [&] { pack_rnn_weights(way.gpu, layout, kernel, recurrent, bias, space); });
  expect_ideal("unpacked gradients", [&] {
    unpack_rnn_gradients(way.gpu, layout, space, {.kernel = kernel, .recurrent = recurrent, .bias = bias});
  });
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
  auto again = array(kColumns);
  expect_ideal("variance", [&] { batch_norm_variance(way.gpu, shape, {}, x, mean, again, nullptr); });
  expect_ideal("sums of the gradient",
               [&] { batch_norm_backward_sums(way.gpu, shape, statistics, x, dy, gamma, beta, nullptr); });
  expect_ideal("moving statistics",
               [&] { batch_norm_update(way.gpu, kColumns, 0.9f, mean, variance, gamma, beta); });
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
    gather_rows(way.gpu, {kRows, kColumns, kRows}, reinterpret_cast<const std::uint32_t*>(x.data()), indices,
                reinterpret_cast<std::uint32_t*>(y.data()));
  });
  Array<std::int32_t> ids(way, integers(kRows, kRows));
  expect_ideal("embedding", [&] { embedding_forward(way.gpu, {kRows, kColumns, kRows}, ids, x, y); });
  expect_ideal("gradient of a table", [&] {
    embedding_backward(way.gpu, {kRows, kColumns, kRows}, kOverwrite, ids, y, x);
  });
  auto m = array(kCount, 4), v = array(kCount, 5), scratch = array(kCount, 6);
  Array<StepState> state(way, std::vector<StepState>(1));
  expect_ideal("adam of its rows", [&] {
    lazy_adam(way.gpu, {kRows, kColumns, kRows}, {}, state, ids, y, {x, m, v}, scratch);
  });
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
  expect_ideal("sgd with momentum", [&] { sgd(way.gpu, all, {0.9f, true}, {}, state, {w, g}, m); });
  auto sums = array(2);
  expect_ideal(
      "norms", [&] { squared_norms(way.gpu, all, g, sums); }, 1);
}

}  // namespace
}  // namespace gpunn::kernels
