#include "kernels/dropout_body.hpp"
#include "kernels/recurrent.cuh"
#include "kernels/recurrent_body.hpp"
#include "kernels/warp.cuh"

namespace gpunn::kernels {
namespace {

constexpr int kSlices =
    4;  // threads that share a unit's sum: neighbours in a warp, which add up by two shuffles

// kUnits: 32, 64 or 128, the units rounded up; the padding's weights and state are 0.
// kBoth: the input's product is made here too, and its weights are held beside these.
template <class Cell, int kUnits, bool kBoth = false>
struct Sizes {
  static constexpr int kShare = kUnits / kSlices;  // terms of a sum per thread
  // So many of a share's weights per gate stay in registers: 512 threads get 128 registers each, and twice 64
  // weights spill even where a thread gets 255.
  static constexpr int kMostHeld = kUnits == 128 || kBoth ? 48 / Cell::kGates : kShare;
  static constexpr int kHeld = kMostHeld < kShare ? kMostHeld : kShare;
};

// What feature `feature` of a row is multiplied by at every step.
__device__ inline float keep_factor(const RecurrentInput& in, std::int64_t row, std::int64_t feature) {
  const std::int64_t i = row * in.width + feature;
  if (in.mask != nullptr) return in.mask[i];
  if (in.drawn == nullptr) return 1;
  const auto words = philox(dropout_key(in.dropout, *in.state), static_cast<std::uint64_t>(i / 4));
  const int which = static_cast<int>(i % 4);
  std::uint32_t word = words[0];  // by comparisons: an array that is indexed would lie in memory
  GPUNN_UNROLL
  for (int k = 1; k < 4; ++k) {
    if (which == k) word = words[static_cast<unsigned>(k)];
  }
  return in.drawn[i] = dropout_factor(in.dropout, word);
}

__device__ inline float add_slices(float sum) {
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  return sum + __shfl_xor_sync(kAllLanes, sum, 2);
}

// A weight of gate `gate`; what is beyond the matrix is padding.
template <int kGates>
__device__ inline float weight(const float* w, std::int64_t rows, std::int64_t units, int gate,
                               std::int64_t row, std::int64_t unit) {
  return row < rows && unit < units ? w[(row * kGates + gate) * units + unit] : 0.0f;
}

// One thread's share of a product's weights, in registers.
template <class Cell, int kUnits, bool kBoth = false>
struct Held {
  using S = Sizes<Cell, kUnits, kBoth>;
  float w[Cell::kGates][S::kHeld];

  // Forward: the terms are rows, the sum is a unit's. Backward (`transposed`): the terms are units, the sum a
  // row's.
  __device__ Held(const float* matrix, std::int64_t rows, std::int64_t units, bool transposed, int mine,
                  int slice) {
    GPUNN_UNROLL
    for (int g = 0; g < Cell::kGates; ++g) {
      GPUNN_UNROLL
      for (int i = 0; i < S::kHeld; ++i) {
        const int term = slice + i * kSlices;
        w[g][i] =
            weight<Cell::kGates>(matrix, rows, units, g, transposed ? mine : term, transposed ? term : mine);
      }
    }
  }
  __device__ float sum(int gate, const float* terms, int slice) const {
    float sum = 0;
    GPUNN_UNROLL
    for (int i = 0; i < S::kHeld; ++i) sum += w[gate][i] * terms[slice + i * kSlices];
    return sum;
  }
};
struct HeldNothing {
  __device__ HeldNothing(const float*, std::int64_t, std::int64_t, bool, int, int) {}
};
template <bool kProjects, class Cell, int kUnits>
using HeldKernel = std::conditional_t<kProjects, Held<Cell, kUnits>, HeldNothing>;

template <class Cell, int kUnits, bool kProjects>
__global__ void __launch_bounds__(kUnits* kSlices, 1)
    sequence_forward_kernel(RecurrentShape shape, RecurrentForward f, RecurrentInput in) {
  using S = Sizes<Cell, kUnits, kProjects>;
  constexpr int kGates = Cell::kGates;
  __shared__ float state[2][kUnits];
  __shared__ float features[2][kProjects ? kUnits : 1];
  const int unit = static_cast<int>(threadIdx.x) / kSlices, slice = static_cast<int>(threadIdx.x) % kSlices;
  const bool real = unit < shape.units;
  const std::int64_t units = shape.units;
  const Held<Cell, kUnits, kProjects> held(f.recurrent, units, units, false, unit, slice);
  const HeldKernel<kProjects, Cell, kUnits> held_kernel(in.kernel, in.width, units, false, unit, slice);
  float bias[kGates], x_bias[kGates];
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) {
    bias[g] = real ? value_or_zero(f.recurrent_bias, g * units + unit) : 0.0f;
    x_bias[g] = kProjects && real ? value_or_zero(in.bias, g * units + unit) : 0.0f;
  }
  // The second thread of each four brings a feature of the next step while this one is computed.
  const bool brings = kProjects && slice == 1 && unit < in.width;
  for (std::int64_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    float h = real ? value_or_zero(f.h0, row * units + unit) : 0.0f;
    float c = Cell::kHasCell && real ? value_or_zero(f.c0, row * units + unit) : 0.0f;
    const float keep = brings ? keep_factor(in, row, unit) : 1.0f;
    // The id of the step after the next one: a load that waits for another would last longer than a step.
    const auto id_at = [&](std::int64_t step) {
      return brings && in.ids != nullptr && step < shape.steps ? in.ids[places(shape, row, step).x] : 0;
    };
    const auto feature = [&](std::int64_t step, std::int64_t id) {
      if (!brings || step >= shape.steps) return 0.0f;
      return feature_of(in, places(shape, row, step).x, id, unit) * keep;
    };
    std::int32_t id = id_at(1);
    __syncthreads();  // the row before is done with `state` and `features`
    if (slice == 0) state[0][unit] = h;
    if (kProjects && slice == 1) features[0][unit] = feature(0, id_at(0));
    __syncthreads();
    for (std::int64_t step = 0; step < shape.steps; ++step) {
      const Places at = places(shape, row, step);
      const float next_feature = feature(step + 1, id);
      id = id_at(step + 2);
      float x[kGates], sums[kGates], kept[4];
      if constexpr (kProjects) {
        GPUNN_UNROLL
        for (int g = 0; g < kGates; ++g)
          x[g] = add_slices(held_kernel.sum(g, features[step % 2], slice)) + x_bias[g];
      } else {
        GPUNN_UNROLL
        for (int g = 0; g < kGates; ++g) x[g] = real ? f.x_gates[(at.x * kGates + g) * units + unit] : 0.0f;
      }
      const float* before = state[step % 2];
      GPUNN_UNROLL
      for (int g = 0; g < kGates; ++g) {
        float sum = held.sum(g, before, slice);
        GPUNN_ROLLED
        for (int i = S::kHeld; i < S::kShare; ++i) {
          const int term = slice + i * kSlices;
          sum += weight<kGates>(f.recurrent, units, units, g, term, unit) * before[term];
        }
        sums[g] = add_slices(sum) + bias[g];
      }
      // All four threads of a unit do the same from here: no divergence, and each writes one of the kept
      // values.
      float next_h = h, next_c = c;
      Cell::forward(DefaultActivations{}, x, sums, next_h, next_c, kept);
      if (f.mask == nullptr || f.mask[at.x] != 0) h = next_h, c = next_c;
      // Units that only fill a warp stay 0: an infinity times a weight of 0 would reach the real ones.
      if (slice == 0) state[(step + 1) % 2][unit] = real ? h : 0.0f;
      if (kProjects && slice == 1) features[(step + 1) % 2][unit] = next_feature;
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

template <class Cell, int kUnits, bool kProjects>
__global__ void __launch_bounds__(kUnits* kSlices, 1)
    sequence_backward_kernel(RecurrentShape shape, RecurrentBackward b, RecurrentInput in) {
  using S = Sizes<Cell, kUnits, kProjects>;
  constexpr int kGates = Cell::kGates;
  constexpr bool kApart = kProjects && !Cell::kOneGradient;  // the input's product has gradients of its own
  __shared__ float gates[2][kGates][kUnits];
  __shared__ float x_gates[2][kGates][kApart ? kUnits : 1];
  const int unit = static_cast<int>(threadIdx.x) / kSlices, slice = static_cast<int>(threadIdx.x) % kSlices;
  const bool real = unit < shape.units;
  const std::int64_t units = shape.units;
  const Held<Cell, kUnits, kProjects> held(b.recurrent, units, units, true, unit, slice);
  const HeldKernel<kProjects, Cell, kUnits> held_kernel(in.kernel, in.width, units, true, unit, slice);
  if (kProjects && blockIdx.x == 0) {
    for (std::int64_t i = threadIdx.x; i < b.counter_count; i += blockDim.x) b.counters[i] = 0;
  }
  for (std::int64_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    float dh = real ? value_or_zero(b.dh_last, row * units + unit) : 0.0f;
    float dc = Cell::kHasCell && real ? value_or_zero(b.dc_last, row * units + unit) : 0.0f;
    const bool writes_dx = kProjects && in.dx != nullptr && slice == 0 && unit < in.width;
    const float keep = writes_dx && in.mask != nullptr ? in.mask[row * in.width + unit] : 1.0f;
    __syncthreads();  // the row before is done with `gates`
    for (std::int64_t step = shape.steps - 1; step >= 0; --step) {
      float dx[kGates] = {}, ds[kGates] = {};
      if (real)
        step_back<Cell>(DefaultActivations{}, shape, gates_together<Cell>(shape), b, row, step, unit,
                        slice == 0, dh, dc, dx, ds);
      float(&shared)[kGates][kUnits] = gates[step % 2];
      if (slice == 0) {
        GPUNN_UNROLL
        for (int g = 0; g < kGates; ++g) {
          shared[g][unit] = ds[g];
          if constexpr (kApart) x_gates[step % 2][g][unit] = dx[g];
        }
      }
      __syncthreads();
      float sum = 0;
      GPUNN_UNROLL
      for (int g = 0; g < kGates; ++g) {
        sum += held.sum(g, shared[g], slice);
        GPUNN_ROLLED
        for (int i = S::kHeld; i < S::kShare; ++i) {
          const int term = slice + i * kSlices;
          sum += weight<kGates>(b.recurrent, units, units, g, unit, term) * shared[g][term];
        }
      }
      dh += add_slices(sum);
      if constexpr (kProjects) {
        if (in.dx != nullptr) {  // for all threads alike
          float dx_sum = 0;
          GPUNN_UNROLL
          for (int g = 0; g < kGates; ++g) {
            if constexpr (kApart) {
              dx_sum += held_kernel.sum(g, x_gates[step % 2][g], slice);
            } else {
              dx_sum += held_kernel.sum(g, shared[g], slice);
            }
          }
          dx_sum = add_slices(dx_sum);
          if (writes_dx) put(in.dx_mode, in.dx[places(shape, row, step).x * in.width + unit], dx_sum * keep);
        }
      }
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

// Calls use(cell, units, projects) with what the kernels are compiled for.
template <class Use>
void with_kernel(const RecurrentShape& shape, const RecurrentInput* in, Use use) {
  require(shape.cell != RecurrentCell::gru_reset_before,
          "recurrent: the whole-sequence kernels cannot reset before the product");
  require(in == nullptr || takes_input(shape, in->width),
          "recurrent: the input's product does not fit inside");
  with_cell(shape.cell, [&](auto cell) {
    if (in == nullptr)
      return with_units(shape.units, [&](auto units) { use(cell, units, std::false_type{}); });
    if (shape.units <= 32 && in->width <= 32)
      return use(cell, std::integral_constant<int, 32>{}, std::true_type{});
    use(cell, std::integral_constant<int, 64>{}, std::true_type{});
  });
}

}  // namespace

void recurrent_forward(Gpu gpu, const RecurrentShape& shape, const RecurrentForward& f,
                       const RecurrentInput* in) {
  with_kernel(shape, in, [&](auto cell, auto units, auto projects) {
    launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
           sequence_forward_kernel<decltype(cell), units(), projects()>, shape, f,
           in == nullptr ? RecurrentInput{} : *in);
  });
}

void recurrent_backward(Gpu gpu, const RecurrentShape& shape, const RecurrentBackward& b,
                        const RecurrentInput* in) {
  with_kernel(shape, in, [&](auto cell, auto units, auto projects) {
    launch(gpu, blocks_shape(shape.rows, gpu.multiprocessors, units() * kSlices),
           sequence_backward_kernel<decltype(cell), units(), projects()>, shape, b,
           in == nullptr ? RecurrentInput{} : *in);
  });
}

}  // namespace gpunn::kernels
