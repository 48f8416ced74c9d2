// What the whole-sequence kernels and the one-step kernels of recurrent layers have in common.
#pragma once

#include "kernels/embedding_body.hpp"
#include "kernels/launch.cuh"
#include "kernels/recurrent.hpp"
#include "kernels/recurrent_body.hpp"

namespace gpunn::kernels {

__device__ inline float value_or_zero(const float* p, std::int64_t i) {
  return p == nullptr ? 0.0f : p[i];
}

__device__ inline void put(Accumulate mode, float& to, float value) {
  to = mode == Accumulate::add ? to + value : value;
}

// Where step `step` of row `row` lies: in the order of y, and in that of x.
struct Places {
  std::int64_t y, x;
};
__device__ inline Places places(const RecurrentShape& shape, std::int64_t row, std::int64_t step) {
  const std::int64_t base = row * shape.steps;
  return {base + step, base + (shape.reversed ? shape.steps - 1 - step : step)};
}

// A feature of x, at a place whose id (0 where there are no ids) is at hand.
__device__ inline float feature_of(const RecurrentInput& in, std::int64_t place, std::int64_t id,
                                   std::int64_t feature) {
  if (in.ids == nullptr) return in.x[place * in.width + feature];
  return looked_up(in.x, in.vocabulary, in.width, id, feature);
}

// Where the gates of a vector of sums lie: number (gate, place, unit) at gate * gate_stride + place *
// place_stride + unit.
struct GateLayout {
  std::int64_t gate_stride = 0, place_stride = 0;
  __device__ std::int64_t at(int gate, std::int64_t place, std::int64_t unit) const {
    return gate * gate_stride + place * place_stride + unit;
  }
};
struct GateLayouts {
  GateLayout x, s;  // of the input's and of the state's shares, for all steps
};
template <class Cell>
__device__ inline GateLayouts gates_together(const RecurrentShape& shape) {
  const GateLayout together{shape.units, Cell::kGates * shape.units};
  return {together, together};
}

// What one unit's step back reads and writes; `dh` becomes what passes the gates by, dx and ds the gradients
// of the sums.
template <class Cell, class A>
__device__ inline void step_back(const A& activations, const RecurrentShape& shape,
                                 const GateLayouts& layouts, const RecurrentBackward& b, std::int64_t row,
                                 std::int64_t step, int unit, bool writes, float& dh, float& dc,
                                 float (&dx)[Cell::kGates], float (&ds)[Cell::kGates]) {
  constexpr int kGates = Cell::kGates, kKept = Cell::template kKept<A>;
  const std::int64_t units = shape.units;
  const Places at = places(shape, row, step);
  const auto before = [&](const float* sequence, const float* first) {
    return step > 0 ? sequence[(at.y - 1) * units + unit] : value_or_zero(first, row * units + unit);
  };
  StatesAround<float> around;
  around.h_before = before(b.y, b.h0);
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) dx[g] = 0, ds[g] = 0;
  dh += value_or_zero(b.dy, at.y * units + unit);
  if (b.mask == nullptr || b.mask[at.x] != 0) {
    float kept[4] = {};
    GPUNN_UNROLL
    for (int k = 0; k < kKept; ++k) kept[k] = b.kept[(at.y * kKept + k) * units + unit];
    if constexpr (kKept == 0) around.h = b.y[at.y * units + unit];
    if constexpr (Cell::kHasCell) {
      around.c_before = before(b.cells, b.c0), around.c = b.cells[at.y * units + unit];
    }
    dh = Cell::backward(activations, dh, dc, around, kept, dx, ds);
  }
  if (!writes) return;
  GPUNN_UNROLL
  for (int g = 0; g < kGates; ++g) {
    b.dx_gates[layouts.x.at(g, at.x, unit)] = dx[g];
    if (b.ds_gates != nullptr) b.ds_gates[layouts.s.at(g, at.y, unit)] = ds[g];
  }
  if (b.h_before != nullptr) b.h_before[at.y * units + unit] = around.h_before;
}

// Calls use(Gru{}) or whichever `cell` names, of those whose gates are one function of one product.
template <class Use>
void with_cell(RecurrentCell cell, Use use) {
  if (cell == RecurrentCell::gru) return use(Gru{});
  if (cell == RecurrentCell::simple) return use(Simple{});
  use(Lstm{});
}

}  // namespace gpunn::kernels
