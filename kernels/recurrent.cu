#include "kernels/recurrent.cuh"
#include "kernels/recurrent_body.hpp"
#include "kernels/warp.cuh"

namespace gpunn::kernels {
namespace {

constexpr int kSlices =
    4;  // threads that share a unit's sum: neighbours in a warp, which add up by two shuffles

// kUnits: 32, 64 or 128, the units rounded up; the padding's weights and state are 0.
template <class Cell, int kUnits>
struct Sizes {
  static constexpr int kShare = kUnits / kSlices;  // terms of a sum per thread
  // So many of a share's weights per gate stay in registers: 512 threads get 128 registers each.
  static constexpr int kMostHeld = kUnits == 128 ? 48 / Cell::kGates : kShare;
  static constexpr int kHeld = kMostHeld < kShare ? kMostHeld : kShare;
};

__device__ inline float add_slices(float sum) {
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  return sum + __shfl_xor_sync(kAllLanes, sum, 2);
}

// Element `term` of gate `gate` of the thread's sum: forward sums over the state (a row of U per term),
// backward over the gates of a state's element (a column per term).
template <int kGates>
__device__ inline float weight(const float* u, std::int64_t units, bool transposed, int gate, int unit,
                               int term) {
  if (unit >= units || term >= units) return 0;
  const std::int64_t row = transposed ? unit : term, column = transposed ? term : unit;
  return u[row * kGates * units + gate * units + column];
}

template <class Cell, int kUnits>
__global__ void __launch_bounds__(kUnits* kSlices, 1)
    sequence_forward_kernel(RecurrentShape shape, RecurrentForward f) {
  using S = Sizes<Cell, kUnits>;
  constexpr int kGates = Cell::kGates;
  __shared__ float state[2][kUnits];
  const int unit = static_cast<int>(threadIdx.x) / kSlices, slice = static_cast<int>(threadIdx.x) % kSlices;
  const bool real = unit < shape.units;
  const std::int64_t units = shape.units;
  float held[kGates][S::kHeld];
  float bias[kGates];
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) {
    GPUNN_UNROLL
    for (int i = 0; i < S::kHeld; ++i)
      held[g][i] = weight<kGates>(f.recurrent, units, false, g, unit, slice + i * kSlices);
    bias[g] = real ? value_or_zero(f.recurrent_bias, g * units + unit) : 0.0f;
  }
  for (std::int64_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    float h = real ? value_or_zero(f.h0, row * units + unit) : 0.0f;
    float c = Cell::kHasCell && real ? value_or_zero(f.c0, row * units + unit) : 0.0f;
    __syncthreads();  // the row before is done with `state`
    if (slice == 0) state[0][unit] = h;
    __syncthreads();
    for (std::int64_t step = 0; step < shape.steps; ++step) {
      const Places at = places(shape, row, step);
      float x[kGates], sums[kGates], kept[4];
      GPUNN_UNROLL
      for (int g = 0; g < kGates; ++g) x[g] = real ? f.x_gates[(at.x * kGates + g) * units + unit] : 0.0f;
      const float* before = state[step % 2];
      GPUNN_UNROLL
      for (int g = 0; g < kGates; ++g) {
        float sum = 0;
        GPUNN_UNROLL
        for (int i = 0; i < S::kHeld; ++i) sum += held[g][i] * before[slice + i * kSlices];
        GPUNN_ROLLED
        for (int i = S::kHeld; i < S::kShare; ++i) {
          const int term = slice + i * kSlices;
          sum += weight<kGates>(f.recurrent, units, false, g, unit, term) * before[term];
        }
        sums[g] = add_slices(sum) + bias[g];
      }
      // All four threads of a unit do the same from here: no divergence, and each writes one of the kept
      // values.
      float next_h = h, next_c = c;
      Cell::forward(DefaultActivations{}, x, sums, next_h, next_c, kept);
      if (f.mask == nullptr || f.mask[at.x] != 0) h = next_h, c = next_c;
      if (slice == 0) state[(step + 1) % 2][unit] = h;
      if (real) {
        if constexpr (Cell::template kKept<DefaultActivations> == kSlices) {
          const float mine = slice == 0 ? kept[0] : slice == 1 ? kept[1] : slice == 2 ? kept[2] : kept[3];
          if (f.kept != nullptr) f.kept[(at.y * kSlices + slice) * units + unit] = mine;
        }
        if (slice == 0 && f.y != nullptr) f.y[at.y * units + unit] = h;
        if (slice == 1 && Cell::kHasCell && f.cells != nullptr) f.cells[at.y * units + unit] = c;
      }
      __syncthreads();
    }
    if (real && slice == 0) {
      if (f.h_last != nullptr) f.h_last[row * units + unit] = h;
      if (Cell::kHasCell && f.c_last != nullptr) f.c_last[row * units + unit] = c;
    }
  }
}

template <class Cell, int kUnits>
__global__ void __launch_bounds__(kUnits* kSlices, 1)
    sequence_backward_kernel(RecurrentShape shape, RecurrentBackward b) {
  using S = Sizes<Cell, kUnits>;
  constexpr int kGates = Cell::kGates;
  __shared__ float gates[2][kGates][kUnits];
  const int unit = static_cast<int>(threadIdx.x) / kSlices, slice = static_cast<int>(threadIdx.x) % kSlices;
  const bool real = unit < shape.units;
  const std::int64_t units = shape.units;
  float held[kGates][S::kHeld];
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) {
    GPUNN_UNROLL
    for (int i = 0; i < S::kHeld; ++i)
      held[g][i] = weight<kGates>(b.recurrent, units, true, g, unit, slice + i * kSlices);
  }
  for (std::int64_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    float dh = real ? value_or_zero(b.dh_last, row * units + unit) : 0.0f;
    float dc = Cell::kHasCell && real ? value_or_zero(b.dc_last, row * units + unit) : 0.0f;
    __syncthreads();  // the row before is done with `gates`
    for (std::int64_t step = shape.steps - 1; step >= 0; --step) {
      float ds[kGates] = {};
      if (real)
        step_back<Cell>(DefaultActivations{}, shape, gates_together<Cell>(shape), b, row, step, unit,
                        slice == 0, dh, dc, ds);
      float(&shared)[kGates][kUnits] = gates[step % 2];
      if (slice == 0) {
        GPUNN_UNROLL
        for (int g = 0; g < kGates; ++g) shared[g][unit] = ds[g];
      }
      __syncthreads();
      float sum = 0;
      GPUNN_UNROLL
      for (int g = 0; g < kGates; ++g) {
        GPUNN_UNROLL
        for (int i = 0; i < S::kHeld; ++i) sum += held[g][i] * shared[g][slice + i * kSlices];
        GPUNN_ROLLED
        for (int i = S::kHeld; i < S::kShare; ++i) {
          const int term = slice + i * kSlices;
          sum += weight<kGates>(b.recurrent, units, true, g, unit, term) * shared[g][term];
        }
      }
      dh += add_slices(sum);
    }
    if (real && slice == 0) {
      if (b.dh0 != nullptr) put(b.dh0_mode, b.dh0[row * units + unit], dh);
      if (Cell::kHasCell && b.dc0 != nullptr) put(b.dc0_mode, b.dc0[row * units + unit], dc);
    }
  }
}

// Calls use(integral_constant<int, units rounded up>).
template <class Use>
void with_units(std::int64_t units, Use use) {
  require(units > 0 && units <= kMostSequenceUnits,
          "recurrent: the whole-sequence kernels take 1 to 128 units");
  if (units <= 32) return use(std::integral_constant<int, 32>{});
  if (units <= 64) return use(std::integral_constant<int, 64>{});
  use(std::integral_constant<int, 128>{});
}

}  // namespace

void recurrent_forward(Gpu gpu, const RecurrentShape& shape, const RecurrentForward& f) {
  require(shape.cell != RecurrentCell::gru_reset_before,
          "recurrent: the whole-sequence kernels cannot reset before the product");
  with_cell(shape.cell, [&](auto cell) {
    with_units(shape.units, [&](auto units) {
      launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
             sequence_forward_kernel<decltype(cell), units()>, shape, f);
    });
  });
}

void recurrent_backward(Gpu gpu, const RecurrentShape& shape, const RecurrentBackward& b) {
  require(shape.cell != RecurrentCell::gru_reset_before,
          "recurrent: the whole-sequence kernels cannot reset before the product");
  with_cell(shape.cell, [&](auto cell) {
    with_units(shape.units, [&](auto units) {
      launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
             sequence_backward_kernel<decltype(cell), units()>, shape, b);
    });
  });
}

}  // namespace gpunn::kernels
