#include "kernels/recurrent_steps.hpp"

#include "kernels/recurrent.cuh"

namespace gpunn::kernels {
namespace {

GateLayouts layouts_of(const RecurrentSteps& steps, std::int64_t places_s) {
  const std::int64_t units = steps.shape.units, gates = recurrent_gates(steps.shape.cell),
                     places = steps.shape.rows * steps.shape.steps;
  const auto layout = [&](bool split, std::int64_t count) {
    return split ? GateLayout{count * units, units} : GateLayout{units, gates * units};
  };
  return {layout(steps.split_x, places), layout(steps.split_s, places_s)};
}

// The dropout of the state, as a kernel sees it.
struct StateMask {
  int masks;
  const float* mask;
  std::int64_t units;
  __device__ float of(std::int64_t row, int gate, std::int64_t unit) const {
    return masks == 0 ? 1.0f : mask[(row * masks + (masks > 1 ? gate : 0)) * units + unit];
  }
};
StateMask mask_of(const RecurrentSteps& steps) {
  return {steps.state_masks, steps.state_mask, steps.shape.units};
}

struct RowUnit {
  std::int64_t row, unit;
};
__device__ inline RowUnit row_and_unit(const RecurrentShape& shape, std::int64_t i) {
  const std::int64_t row = i / shape.units;
  return {row, i - row * shape.units};
}

__device__ inline void write_operand(const RecurrentShape& shape, const StateMask& mask, std::int64_t i,
                                     float h, float* operand) {
  if (operand == nullptr) return;
  const RowUnit at = row_and_unit(shape, i);
  for (int k = 0; k < mask.masks; ++k)
    operand[k * shape.rows * shape.units + i] = h * mask.of(at.row, k, at.unit);
}

struct Begin {
  RecurrentShape shape;
  StateMask mask;
  const float* h0;
  const float* c0;
  RecurrentState state;
  __device__ void operator()(std::int64_t i) const {
    const float h = value_or_zero(h0, i);
    state.h[i] = h;
    if (state.c != nullptr) state.c[i] = value_or_zero(c0, i);
    write_operand(shape, mask, i, h, state.operand);
  }
};

// The state behind a step: for the next one, and where the sequence has it.
__device__ inline void write_state(const RecurrentShape& shape, const StateMask& mask, std::int64_t i,
                                   std::int64_t at_y, std::int64_t unit, float h, const RecurrentForward& f,
                                   const RecurrentState& state) {
  state.h[i] = h;
  write_operand(shape, mask, i, h, state.operand);
  if (f.y != nullptr) f.y[at_y * shape.units + unit] = h;
}

// Value `which` of the kKept that backward reads.
template <int kKept>
__device__ inline void keep(const RecurrentShape& shape, std::int64_t at_y, int which, std::int64_t unit,
                            float value, const RecurrentForward& f) {
  if (f.kept != nullptr) f.kept[(at_y * kKept + which) * shape.units + unit] = value;
}

template <class Cell, class A>
struct StepForward {
  A activations;
  RecurrentShape shape;
  StateMask mask;
  GateLayouts layouts;  // of x for all steps, of s for this one
  std::int64_t step;
  RecurrentForward f;
  RecurrentState state;
  __device__ void operator()(std::int64_t i) const {
    constexpr int kGates = Cell::kGates, kKept = Cell::template kKept<A>;
    const auto [row, unit] = row_and_unit(shape, i);
    const Places at = places(shape, row, step);
    float x[kGates], s[kGates], kept[4];
    GPUNN_UNROLL
    for (int g = 0; g < kGates; ++g) {
      x[g] = f.x_gates[layouts.x.at(g, at.x, unit)];
      s[g] = state.s[layouts.s.at(g, row, unit)];
    }
    float h = state.h[i], c = Cell::kHasCell ? state.c[i] : 0.0f;
    float next_h = h, next_c = c;
    Cell::forward(activations, x, s, next_h, next_c, kept);
    if (f.mask == nullptr || f.mask[at.x] != 0) h = next_h, c = next_c;
    write_state(shape, mask, i, at.y, unit, h, f, state);
    if (Cell::kHasCell) state.c[i] = c;
    if (Cell::kHasCell && f.cells != nullptr) f.cells[at.y * shape.units + unit] = c;
    GPUNN_UNROLL
    for (int k = 0; k < kKept; ++k) keep<kKept>(shape, at.y, k, unit, kept[k], f);
  }
};

// Reset before: z and r from their sums, which become z and r, and what the candidate's product reads.
template <class A>
struct StepReset {
  A activations;
  RecurrentShape shape;
  StateMask mask;
  GateLayouts layouts;
  std::int64_t step;
  RecurrentForward f;
  RecurrentState state;
  __device__ void operator()(std::int64_t i) const {
    const auto [row, unit] = row_and_unit(shape, i);
    const Places at = places(shape, row, step);
    for (int g = 0; g < 2; ++g) {
      float& s = state.s[layouts.s.at(g, row, unit)];
      const float sum = f.x_gates[layouts.x.at(g, at.x, unit)] + s;
      s = activations.gate(sum);
      keep<3>(shape, at.y, g, unit, activations.kept(sum, s), f);
      if (g == 1) state.reset[i] = s * (state.h[i] * mask.of(row, 2, unit));
    }
  }
};
template <class A>
struct StepCandidate {
  A activations;
  RecurrentShape shape;
  StateMask mask;
  GateLayouts layouts;
  std::int64_t step;
  RecurrentForward f;
  RecurrentState state;
  __device__ void operator()(std::int64_t i) const {
    const auto [row, unit] = row_and_unit(shape, i);
    const Places at = places(shape, row, step);
    const float z = state.s[layouts.s.at(0, row, unit)];
    const float sum = f.x_gates[layouts.x.at(2, at.x, unit)] + state.s[layouts.s.at(2, row, unit)];
    const float g = activations.state(sum);
    float h = state.h[i];
    if (f.mask == nullptr || f.mask[at.x] != 0) h = z * h + (1.0f - z) * g;
    write_state(shape, mask, i, at.y, unit, h, f, state);
    keep<3>(shape, at.y, 2, unit, activations.kept(sum, g), f);
  }
};

// Gradients of the state behind a step, with what came through the weights there.
struct Arriving {
  RecurrentShape shape;
  StateMask mask;
  int products;
  const float* dh_last;
  const float* dc_last;
  RecurrentFlow flow;

  __device__ float dh(std::int64_t i, bool last) const {
    if (last) return value_or_zero(dh_last, i);
    const RowUnit at = row_and_unit(shape, i);
    float sum = flow.dh[i];
    for (int k = 0; k < products; ++k)
      sum += flow.products[k * shape.rows * shape.units + i] * mask.of(at.row, k, at.unit);
    return sum;
  }
  __device__ float dc(std::int64_t i, bool last) const {
    return last ? value_or_zero(dc_last, i) : flow.dc[i];
  }
};

template <class Cell, class A>
struct StepBackward {
  A activations;
  Arriving arriving;
  GateLayouts layouts;  // for all steps
  GateLayout ds_of_step;
  std::int64_t step;
  RecurrentBackward b;
  __device__ void operator()(std::int64_t i) const {
    const RecurrentShape& shape = arriving.shape;
    const auto [row, unit] = row_and_unit(shape, i);
    const bool last = step == shape.steps - 1;
    float dh = arriving.dh(i, last), dc = Cell::kHasCell ? arriving.dc(i, last) : 0.0f;
    float dx[Cell::kGates], ds[Cell::kGates];
    step_back<Cell>(activations, shape, layouts, b, row, step, static_cast<int>(unit), true, dh, dc, dx, ds);
    arriving.flow.dh[i] = dh;
    if (Cell::kHasCell) arriving.flow.dc[i] = dc;
    GPUNN_UNROLL
    for (int g = 0; g < Cell::kGates; ++g) arriving.flow.ds[ds_of_step.at(g, row, unit)] = ds[g];
  }
};

// Reset before: back through all but the reset gate ...
template <class A>
struct CandidateBackward {
  A activations;
  Arriving arriving;
  GateLayouts layouts;
  GateLayout ds_of_step;
  std::int64_t step;
  RecurrentBackward b;
  __device__ void operator()(std::int64_t i) const {
    const RecurrentShape& shape = arriving.shape;
    const RowUnit cell = row_and_unit(shape, i);  // not bound by name: the lambda below reads them
    const std::int64_t row = cell.row, unit = cell.unit;
    const Places at = places(shape, row, step);
    float dh = arriving.dh(i, step == shape.steps - 1) + value_or_zero(b.dy, at.y * shape.units + unit);
    const float h_before =
        step > 0 ? b.y[(at.y - 1) * shape.units + unit] : value_or_zero(b.h0, row * shape.units + unit);
    float dz = 0, dg = 0;
    if (b.mask == nullptr || b.mask[at.x] != 0) {
      const float kept_z = b.kept[at.y * 3 * shape.units + unit],
                  kept_g = b.kept[(at.y * 3 + 2) * shape.units + unit];
      const float z = activations.kept_value(kept_z, true), g = activations.kept_value(kept_g, false);
      dz = dh * (h_before - g) * activations.kept_slope(kept_z, true);
      dg = dh * (1.0f - z) * activations.kept_slope(kept_g, false);
      dh *= z;
    }
    arriving.flow.dh[i] = dh;
    b.h_before[at.y * shape.units + unit] = h_before;
    const auto write = [&](int gate, float value) {
      b.dx_gates[layouts.x.at(gate, at.x, unit)] = value;
      b.ds_gates[layouts.s.at(gate, at.y, unit)] = value;
      arriving.flow.ds[ds_of_step.at(gate, row, unit)] = value;
    };
    write(0, dz);
    write(2, dg);
  }
};
// ... and through it, when what the candidate sends to r * h is known.
template <class A>
struct ResetBackward {
  A activations;
  Arriving arriving;
  GateLayouts layouts;
  GateLayout ds_of_step;
  std::int64_t step;
  RecurrentBackward b;
  __device__ void operator()(std::int64_t i) const {
    const RecurrentShape& shape = arriving.shape;
    const auto [row, unit] = row_and_unit(shape, i);
    const Places at = places(shape, row, step);
    float& product = arriving.flow.products[2 * shape.rows * shape.units + i];
    float dr = 0;
    if (b.mask == nullptr || b.mask[at.x] != 0) {
      const float kept = b.kept[(at.y * 3 + 1) * shape.units + unit];
      dr = product * arriving.mask.of(row, 2, unit) * b.h_before[at.y * shape.units + unit] *
           activations.kept_slope(kept, true);
      product *= activations.kept_value(kept, true);  // what is left of it reaches h
    } else {
      product = 0;
    }
    b.dx_gates[layouts.x.at(1, at.x, unit)] = dr;
    b.ds_gates[layouts.s.at(1, at.y, unit)] = dr;
    arriving.flow.ds[ds_of_step.at(1, row, unit)] = dr;
  }
};

struct End {
  Arriving arriving;
  RecurrentBackward b;
  __device__ void operator()(std::int64_t i) const {
    const bool none = arriving.shape.steps == 0;
    if (b.dh0 != nullptr) put(b.dh0_mode, b.dh0[i], arriving.dh(i, none));
    if (b.dc0 != nullptr) put(b.dc0_mode, b.dc0[i], arriving.dc(i, none));
  }
};

template <class A>
struct Operands {
  A activations;
  RecurrentShape shape;
  StateMask mask;
  const float* h_before;
  const float* kept;
  float* operands;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t n = shape.rows * shape.steps * shape.units, part = i / n;
    const std::int64_t place = (i - part * n) / shape.units, unit = i - part * n - place * shape.units;
    float h = h_before[i - part * n] * mask.of(place / shape.steps, static_cast<int>(part), unit);
    if (shape.cell == RecurrentCell::gru_reset_before && part == 2) {
      h *= activations.kept_value(kept[(place * 3 + 1) * shape.units + unit], true);
    }
    operands[i] = h;
  }
};

struct MaskFeatures {
  FeatureMasks shape;
  const float* mask;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t n = shape.rows * shape.steps * shape.features, k = i / n, in = i - k * n;
    const std::int64_t place = in / shape.features, feature = in - place * shape.features;
    y[i] = x[in] * mask[(place / shape.steps * shape.masks + k) * shape.features + feature];
  }
};
struct MaskFeaturesBackward {
  FeatureMasks shape;
  Accumulate mode;
  const float* mask;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t n = shape.rows * shape.steps * shape.features;
    const std::int64_t place = i / shape.features, feature = i - place * shape.features;
    float sum = 0;
    for (int k = 0; k < shape.masks; ++k)
      sum += x[k * n + i] * mask[(place / shape.steps * shape.masks + k) * shape.features + feature];
    put(mode, y[i], sum);
  }
};

// Calls use(activations).
template <class Use>
void with_activations(const RecurrentSteps& steps, Use use) {
  if (has_default_activations(steps)) return use(DefaultActivations{});
  use(AnyActivations{steps.activation, steps.recurrent_activation});
}

bool resets_before(const RecurrentSteps& steps) {
  return steps.shape.cell == RecurrentCell::gru_reset_before;
}

void require_step(const RecurrentSteps& steps, std::int64_t step) {
  require(step >= 0 && step < steps.shape.steps, "recurrent: no such step");
  require(!resets_before(steps) || steps.split_s, "recurrent: reset before takes each gate apart");
}

std::int64_t states(const RecurrentSteps& steps) {
  return steps.shape.rows * steps.shape.units;
}

Arriving arriving(const RecurrentSteps& steps, const RecurrentBackward& b, const RecurrentFlow& flow) {
  const int products = steps.split_s ? recurrent_gates(steps.shape.cell) : 1;
  return {steps.shape, mask_of(steps), products, b.dh_last, b.dc_last, flow};
}

}  // namespace

void recurrent_steps_begin(Gpu gpu, const RecurrentSteps& steps, const float* h0, const float* c0,
                           const RecurrentState& state) {
  for_each(gpu, states(steps), Begin{steps.shape, mask_of(steps), h0, c0, state});
}

void recurrent_step_forward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                            const RecurrentForward& f, const RecurrentState& state) {
  require_step(steps, step);
  const GateLayouts layouts = layouts_of(steps, steps.shape.rows);
  with_activations(steps, [&](auto a) {
    using A = decltype(a);
    if (resets_before(steps)) {
      return for_each(gpu, states(steps),
                      StepCandidate<A>{a, steps.shape, mask_of(steps), layouts, step, f, state});
    }
    with_cell(steps.shape.cell, [&](auto cell) {
      for_each(gpu, states(steps),
               StepForward<decltype(cell), A>{a, steps.shape, mask_of(steps), layouts, step, f, state});
    });
  });
}

void recurrent_step_reset(Gpu gpu, const RecurrentSteps& steps, std::int64_t step, const RecurrentForward& f,
                          const RecurrentState& state) {
  require_step(steps, step);
  with_activations(steps, [&](auto a) {
    for_each(gpu, states(steps),
             StepReset<decltype(a)>{a, steps.shape, mask_of(steps), layouts_of(steps, steps.shape.rows), step,
                                    f, state});
  });
}

void recurrent_step_backward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                             const RecurrentBackward& b, const RecurrentFlow& flow) {
  require_step(steps, step);
  const GateLayouts all = layouts_of(steps, steps.shape.rows * steps.shape.steps);
  const GateLayout one = layouts_of(steps, steps.shape.rows).s;
  const Arriving from = arriving(steps, b, flow);
  with_activations(steps, [&](auto a) {
    using A = decltype(a);
    if (resets_before(steps))
      return for_each(gpu, states(steps), CandidateBackward<A>{a, from, all, one, step, b});
    with_cell(steps.shape.cell, [&](auto cell) {
      for_each(gpu, states(steps), StepBackward<decltype(cell), A>{a, from, all, one, step, b});
    });
  });
}

void recurrent_step_reset_backward(Gpu gpu, const RecurrentSteps& steps, std::int64_t step,
                                   const RecurrentBackward& b, const RecurrentFlow& flow) {
  require_step(steps, step);
  const GateLayouts all = layouts_of(steps, steps.shape.rows * steps.shape.steps);
  const GateLayout one = layouts_of(steps, steps.shape.rows).s;
  with_activations(steps, [&](auto a) {
    for_each(gpu, states(steps), ResetBackward<decltype(a)>{a, arriving(steps, b, flow), all, one, step, b});
  });
}

void recurrent_steps_end(Gpu gpu, const RecurrentSteps& steps, const RecurrentBackward& b,
                         const RecurrentFlow& flow) {
  if (b.dh0 == nullptr && b.dc0 == nullptr) return;
  for_each(gpu, states(steps), End{arriving(steps, b, flow), b});
}

void recurrent_operands(Gpu gpu, const RecurrentSteps& steps, int parts, const float* h_before,
                        const float* kept, float* operands) {
  with_activations(steps, [&](auto a) {
    for_each(gpu, parts * states(steps) * steps.shape.steps,
             Operands<decltype(a)>{a, steps.shape, mask_of(steps), h_before, kept, operands});
  });
}

void mask_features(Gpu gpu, const FeatureMasks& shape, const float* mask, const float* x, float* y) {
  for_each(gpu, shape.masks * shape.rows * shape.steps * shape.features, MaskFeatures{shape, mask, x, y});
}

void mask_features_backward(Gpu gpu, const FeatureMasks& shape, Accumulate mode, const float* mask,
                            const float* x, float* y) {
  for_each(gpu, shape.rows * shape.steps * shape.features, MaskFeaturesBackward{shape, mode, mask, x, y});
}

}  // namespace gpunn::kernels
