#include "kernels/recurrent.hpp"

#include "kernels/launch.cuh"
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
  static constexpr int kHeld = kUnits == 128 ? 48 / Cell::kGates : kShare;
};

__device__ inline float add_slices(float sum) {
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  return sum + __shfl_xor_sync(kAllLanes, sum, 2);
}

__device__ inline float value_or_zero(const float* p, std::int64_t i) {
  return p == nullptr ? 0.0f : p[i];
}

// Where step `step` of row `row` lies: in the order of y, and in that of x.
struct Places {
  std::int64_t y, x;
};
__device__ inline Places places(const RecurrentShape& shape, std::int64_t row, std::int64_t step) {
  const std::int64_t base = row * shape.steps;
  return {base + step, base + (shape.reversed ? shape.steps - 1 - step : step)};
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
      Cell::forward(x, sums, next_h, next_c, kept);
      if (f.mask == nullptr || f.mask[at.x] != 0) h = next_h, c = next_c;
      if (slice == 0) state[(step + 1) % 2][unit] = h;
      if (real) {
        const float mine = slice == 0 ? kept[0] : slice == 1 ? kept[1] : slice == 2 ? kept[2] : kept[3];
        if (f.kept != nullptr) f.kept[(at.y * 4 + slice) * units + unit] = mine;
        if (slice == 0) f.y[at.y * units + unit] = h;
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

// What one unit's step back reads and writes; `dh` becomes what passes the gates by, ds the gradients of the
// sums.
template <class Cell>
__device__ inline void step_back(const RecurrentShape& shape, const RecurrentBackward& b, std::int64_t row,
                                 std::int64_t step, int unit, bool writes, float& dh, float& dc,
                                 float (&ds)[Cell::kGates]) {
  constexpr int kGates = Cell::kGates;
  const std::int64_t units = shape.units;
  const Places at = places(shape, row, step);
  const auto before = [&](const float* sequence, const float* first) {
    return step > 0 ? sequence[(at.y - 1) * units + unit] : value_or_zero(first, row * units + unit);
  };
  const float h_before = before(b.y, b.h0);
  float dx[kGates] = {};
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) ds[g] = 0;
  dh += value_or_zero(b.dy, at.y * units + unit);
  if (b.mask == nullptr || b.mask[at.x] != 0) {
    float kept[4];
    GPUNN_UNROLL
    for (int k = 0; k < 4; ++k) kept[k] = b.kept[(at.y * 4 + k) * units + unit];
    float c_before = 0, c = 0;
    if constexpr (Cell::kHasCell) c_before = before(b.cells, b.c0), c = b.cells[at.y * units + unit];
    dh = Cell::backward(dh, dc, h_before, c_before, c, kept, dx, ds);
  }
  if (!writes) return;
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) {
    b.dx_gates[(at.x * kGates + g) * units + unit] = dx[g];
    if (b.ds_gates != nullptr) b.ds_gates[(at.y * kGates + g) * units + unit] = ds[g];
  }
  if (b.h_before != nullptr) b.h_before[at.y * units + unit] = h_before;
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
      if (real) step_back<Cell>(shape, b, row, step, unit, slice == 0, dh, dc, ds);
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
      if (b.dh0 != nullptr) b.dh0[row * units + unit] = dh;
      if (Cell::kHasCell && b.dc0 != nullptr) b.dc0[row * units + unit] = dc;
    }
  }
}

template <class Cell>
struct StepForward {
  RecurrentShape shape;
  std::int64_t step;
  RecurrentForward f;
  const float* s_gates;
  float* h;
  float* c;
  __device__ void operator()(std::int64_t i) const {
    constexpr int kGates = Cell::kGates;
    const std::int64_t row = i / shape.units, unit = i - row * shape.units;
    const Places at = places(shape, row, step);
    float x[kGates], s[kGates], kept[4];
    GPUNN_UNROLL
    for (int g = 0; g < kGates; ++g) {
      x[g] = f.x_gates[(at.x * kGates + g) * shape.units + unit];
      s[g] = s_gates[(row * kGates + g) * shape.units + unit];
    }
    float next_h = h[i], next_c = Cell::kHasCell ? c[i] : 0.0f;
    Cell::forward(x, s, next_h, next_c, kept);
    if (f.mask == nullptr || f.mask[at.x] != 0) {
      h[i] = next_h;
      if (Cell::kHasCell) c[i] = next_c;
    }
    f.y[at.y * shape.units + unit] = h[i];
    if (Cell::kHasCell && f.cells != nullptr) f.cells[at.y * shape.units + unit] = c[i];
    if (f.kept == nullptr) return;
    GPUNN_UNROLL
    for (int k = 0; k < 4; ++k) f.kept[(at.y * 4 + k) * shape.units + unit] = kept[k];
  }
};

template <class Cell>
struct StepBackward {
  RecurrentShape shape;
  std::int64_t step;
  RecurrentBackward b;
  float* dh;
  float* dc;
  float* ds_out;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / shape.units, unit = i - row * shape.units;
    float flow = dh[i], cell = Cell::kHasCell ? dc[i] : 0.0f;
    float ds[Cell::kGates];
    step_back<Cell>(shape, b, row, step, static_cast<int>(unit), true, flow, cell, ds);
    dh[i] = flow;
    if (Cell::kHasCell) dc[i] = cell;
    GPUNN_UNROLL
    for (int g = 0; g < Cell::kGates; ++g) ds_out[(row * Cell::kGates + g) * shape.units + unit] = ds[g];
  }
};

template <class Use>
void with_cell(RecurrentCell cell, Use use) {
  if (cell == RecurrentCell::gru) return use(Gru{});
  use(Lstm{});
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
  with_cell(shape.cell, [&](auto cell) {
    with_units(shape.units, [&](auto units) {
      launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
             sequence_forward_kernel<decltype(cell), units()>, shape, f);
    });
  });
}

void recurrent_backward(Gpu gpu, const RecurrentShape& shape, const RecurrentBackward& b) {
  with_cell(shape.cell, [&](auto cell) {
    with_units(shape.units, [&](auto units) {
      launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
             sequence_backward_kernel<decltype(cell), units()>, shape, b);
    });
  });
}

void recurrent_step_forward(Gpu gpu, const RecurrentShape& shape, std::int64_t step,
                            const RecurrentForward& f, const float* s_gates, float* h, float* c) {
  require(step >= 0 && step < shape.steps, "recurrent: no such step");
  with_cell(shape.cell, [&](auto cell) {
    for_each(gpu, shape.rows * shape.units, StepForward<decltype(cell)>{shape, step, f, s_gates, h, c});
  });
}

void recurrent_step_backward(Gpu gpu, const RecurrentShape& shape, std::int64_t step,
                             const RecurrentBackward& b, float* dh, float* dc, float* ds) {
  require(step >= 0 && step < shape.steps, "recurrent: no such step");
  with_cell(shape.cell, [&](auto cell) {
    for_each(gpu, shape.rows * shape.units, StepBackward<decltype(cell)>{shape, step, b, dh, dc, ds});
  });
}

}  // namespace gpunn::kernels
