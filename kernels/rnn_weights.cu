#include "kernels/rnn_weights.hpp"

#include <limits>

#include "kernels/divider.hpp"
#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kThreads / kTile;  // rows of a tile moved at once

// Ours on one side; which is read and which written is the kernel's matter.
template <class T>
struct Flat {
  T *kernel, *recurrent, *bias;
};

// Gate by gate, 32 units at a time: tiles of the kernel, tiles of the recurrent kernel, then the biases.
struct Tiles {
  std::int64_t of_input, of_units, in_row, count;
  Divider by_row, by_units;

  explicit Tiles(const RnnWeights& w)
      : of_input(ceil_div(w.input, kTile)),
        of_units(ceil_div(w.units, kTile)),
        in_row(of_input + of_units + 1),
        count(w.gates * of_units * in_row),
        by_row(in_row),
        by_units(of_units) {}
};

struct Modes {
  bool add_kernel, add_recurrent, add_bias;
};

template <bool kPack>
using Space = std::conditional_t<kPack, float, const float>;
template <bool kPack>
using Ours = Flat<std::conditional_t<kPack, const float, float>>;

template <bool kPack>
__device__ void move_tile(std::int64_t rows, std::int64_t first_row, std::int64_t units,
                          std::int64_t first_unit, std::int64_t columns, bool add, float (*tile)[kTile + 1],
                          decltype(Ours<kPack>::kernel) ours, Space<kPack>* theirs) {
  const int lane = static_cast<int>(threadIdx.x) % kTile, row = static_cast<int>(threadIdx.x) / kTile;
  for (int k = row; k < kTile; k += kTileRows) {
    if constexpr (kPack) {
      if (first_row + k < rows && first_unit + lane < units)
        tile[k][lane] = ours[(first_row + k) * columns + first_unit + lane];
    } else {
      if (first_unit + k < units && first_row + lane < rows)
        tile[k][lane] = theirs[(first_unit + k) * rows + first_row + lane];
    }
  }
  __syncthreads();
  for (int k = row; k < kTile; k += kTileRows) {
    if constexpr (kPack) {
      if (first_unit + k < units && first_row + lane < rows)
        theirs[(first_unit + k) * rows + first_row + lane] = tile[lane][k];
    } else {
      if (first_row + k < rows && first_unit + lane < units) {
        float& to = ours[(first_row + k) * columns + first_unit + lane];
        to = add ? to + tile[lane][k] : tile[lane][k];
      }
    }
  }
  __syncthreads();
}

template <bool kPack>
__device__ void move_biases(const RnnWeights& w, std::int64_t gate, std::int64_t first_unit, bool add,
                            decltype(Ours<kPack>::bias) ours, Space<kPack>* theirs) {
  const std::int64_t which = threadIdx.x / kTile, unit = first_unit + threadIdx.x % kTile;
  if (which > 1 || unit >= w.units) return;
  const std::int64_t at = which == 0 ? w.bias[gate] : w.recurrent_bias[gate];
  if (at == RnnWeights::kNoWeights) return;
  const std::int64_t place = (which * w.gates + gate) * w.units + unit;
  if constexpr (kPack) {
    theirs[at + unit] = ours[place];
  } else {
    ours[place] = add ? ours[place] + theirs[at + unit] : theirs[at + unit];
  }
}

template <bool kPack>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    rnn_weights_kernel(RnnWeights w, Tiles t, Modes add, Ours<kPack> ours, Space<kPack>* theirs) {
  __shared__ float tile[kTile][kTile + 1];  // one column more: no bank conflicts on either side
  const std::int64_t columns = w.gates * w.units;
  for (std::int64_t item = blockIdx.x; item < t.count; item += gridDim.x) {
    const auto at = t.by_row.split(static_cast<std::uint32_t>(item));
    const auto of = t.by_units.split(at.quotient);
    const std::int64_t gate = of.quotient, first_unit = std::int64_t{of.remainder} * kTile;
    const std::int64_t part = at.remainder;
    if (part < t.of_input) {
      move_tile<kPack>(w.input, part * kTile, w.units, first_unit, columns, add.add_kernel, tile,
                       ours.kernel + gate * w.units, theirs + w.kernel[gate]);
    } else if (part < t.of_input + t.of_units) {
      move_tile<kPack>(w.units, (part - t.of_input) * kTile, w.units, first_unit, columns, add.add_recurrent,
                       tile, ours.recurrent + gate * w.units, theirs + w.recurrent[gate]);
    } else {
      move_biases<kPack>(w, gate, first_unit, add.add_bias, ours.bias, theirs);
    }
  }
}

template <bool kPack>
void move(Gpu gpu, const RnnWeights& layout, Modes add, Ours<kPack> ours, Space<kPack>* theirs) {
  require(layout.gates >= 1 && layout.gates <= 4 && layout.input >= 0 && layout.units >= 0,
          "rnn weights: one to four gates");
  if (layout.units == 0) return;
  const Tiles tiles(layout);
  require(tiles.count <= std::numeric_limits<std::int32_t>::max(), "rnn weights: too many");
  launch(gpu, blocks_shape(tiles.count, gpu.multiprocessors), rnn_weights_kernel<kPack>, layout, tiles, add,
         ours, theirs);
}

}  // namespace

void pack_rnn_weights(Gpu gpu, const RnnWeights& layout, const float* kernel, const float* recurrent,
                      const float* bias, float* space) {
  move<true>(gpu, layout, {}, {kernel, recurrent, bias}, space);
}

void unpack_rnn_gradients(Gpu gpu, const RnnWeights& layout, const float* space, const RnnGradients& to) {
  const Modes add{to.kernel_mode == Accumulate::add, to.recurrent_mode == Accumulate::add,
                  to.bias_mode == Accumulate::add};
  move<false>(gpu, layout, add, {to.kernel, to.recurrent, to.bias}, space);
}

}  // namespace gpunn::kernels
