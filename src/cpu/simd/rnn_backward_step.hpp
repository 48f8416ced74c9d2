// Backward through the gates of one time step, elementwise. Included only by rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/rnn_forward.hpp"

namespace gpunn::cpu::simd {
namespace {

// One time step of a slice. d is the gradient of h after the step: what later steps sent back, plus dy.
struct BackwardStep {
  int64_t rows, blocks, stride;  // stride: of rows of states
  const float* slots;            // what forward kept of this step
  int64_t slots_stride;
  const float* h;       // before the step
  const float* h_next;  // after it (SimpleRNN)
  const float* c;       // before the step (LSTM)
  int64_t c_stride, c_block;
  const float* dh;  // from later steps
  const float* dy;  // or null
  float* dc;        // LSTM: of c after the step, then of c before it
  float* dgates;
  int64_t dgates_stride;
  float* dpass;  // the part of dh before the step that does not go through the weights
  const uint8_t* mask;
  int64_t mask_stride;

  GPUNN_INLINE bool skips(int64_t row) const { return mask && !mask[row * mask_stride]; }
  GPUNN_INLINE Vec d(int64_t at) const { return dy ? load(dh + at) + load(dy + at) : load(dh + at); }
};

// A step that the mask leaves out: nothing reaches the gates, everything the state before.
template <RnnCell cell>
GPUNN_INLINE void pass_row(const BackwardStep& s, int64_t row) {
  zero_padded(s.blocks * Traits<cell>::kGradientSlots * kLanes, s.dgates + row * s.dgates_stride);
  for (int64_t j = 0; j < s.blocks; ++j) {
    const int64_t at = row * s.stride + j * kLanes;
    store(s.dpass + at, s.d(at));
  }
}

// GRU: z, r, g; reset after also u = h Ug + cg. h' = z h + (1 - z) g. Gradient slots g z r (g * r).
template <class Acts>
GPUNN_INLINE void gates_gru(const BackwardStep& s, int64_t row, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const float* q = s.slots + row * s.slots_stride + j * 4 * kLanes;
    float* dq = s.dgates + row * s.dgates_stride + j * 4 * kLanes;
    const int64_t at = row * s.stride + j * kLanes;
    const Activated z = acts.kept_gate(load(q)), r = acts.kept_gate(load(q + kLanes));
    const Activated g = acts.kept_state(load(q + 2 * kLanes));
    const Vec u = load(q + 3 * kLanes), d = s.d(at);
    const Vec dg = fnma(d, z.value, d) * g.slope;
    store(dq, dg);
    store(dq + kLanes, d * (load(s.h + at) - g.value) * z.slope);
    store(dq + 2 * kLanes, dg * u * r.slope);
    store(dq + 3 * kLanes, dg * r.value);
    store(s.dpass + at, d * z.value);
  }
}

// Reset before, first part: all but the gradient of r, which needs that of r * h. Gradient slots z r g.
template <class Acts>
GPUNN_INLINE void gates_gru_reset_before(const BackwardStep& s, int64_t row, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const float* q = s.slots + row * s.slots_stride + j * 3 * kLanes;
    float* dq = s.dgates + row * s.dgates_stride + j * 3 * kLanes;
    const int64_t at = row * s.stride + j * kLanes;
    const Activated z = acts.kept_gate(load(q)), g = acts.kept_state(load(q + 2 * kLanes));
    const Vec d = s.d(at);
    store(dq, d * (load(s.h + at) - g.value) * z.slope);
    store(dq + 2 * kLanes, fnma(d, z.value, d) * g.slope);
    store(s.dpass + at, d * z.value);
  }
}

// What the second part needs: h as the candidate meets it, the dropout mask that made it (null: none), d(r *
// h).
struct ResetStep {
  const float* h_met;
  const float* dreset;
  const float* scale;  // of this row
  int64_t units;
  float* reset;  // r * h again, for the gradient of the candidate's weights
};

template <class Acts>
GPUNN_INLINE void reset_gate(const BackwardStep& s, const ResetStep& after, int64_t row, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const int64_t at = row * s.stride + j * kLanes;
    const Vec h = load(after.h_met + at), d = load(after.dreset + at);
    const Activated r = acts.kept_gate(load(s.slots + row * s.slots_stride + (j * 3 + 1) * kLanes));
    store(s.dgates + row * s.dgates_stride + (j * 3 + 1) * kLanes, d * h * r.slope);
    store(after.reset + at, r.value * h);
    Vec dh = d * r.value;
    if (after.scale) {
      const float* scale = after.scale + j * kLanes;
      const int64_t left = after.units - j * kLanes;
      dh *= left >= kLanes ? load(scale) : load(scale, Tail(static_cast<int>(left)));
    }
    store(s.dpass + at, load(s.dpass + at) + dh);
  }
}

// LSTM: i, f, g, o, c'. c' = f c + i g, h' = o a(c').
template <class Acts>
GPUNN_INLINE void gates_lstm(const BackwardStep& s, int64_t row, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const float* q = s.slots + row * s.slots_stride + j * 5 * kLanes;
    float* dq = s.dgates + row * s.dgates_stride + j * 4 * kLanes;
    const int64_t at = row * s.stride + j * kLanes;
    const Activated i = acts.kept_gate(load(q)), f = acts.kept_gate(load(q + kLanes));
    const Activated g = acts.kept_state(load(q + 2 * kLanes)), o = acts.kept_gate(load(q + 3 * kLanes));
    const Activated a = acts.state_at(load(q + 4 * kLanes));
    const Vec d = s.d(at), dc = fma(d * o.value, a.slope, load(s.dc + at));
    store(dq, dc * g.value * i.slope);
    store(dq + kLanes, dc * load(s.c + row * s.c_stride + j * s.c_block) * f.slope);
    store(dq + 2 * kLanes, dc * i.value * g.slope);
    store(dq + 3 * kLanes, d * a.value * o.slope);
    store(s.dc + at, dc * f.value);
  }
}

template <class Acts>
GPUNN_INLINE void gates_simple(const BackwardStep& s, int64_t row, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const int64_t at = row * s.stride + j * kLanes;
    const float* kept = Acts::kKeepsValues ? s.h_next + at : s.slots + row * s.slots_stride + j * kLanes;
    store(s.dgates + row * s.dgates_stride + j * kLanes, s.d(at) * acts.kept_state(load(kept)).slope);
  }
}

// Cells whose state reaches the next step through weights alone have no dpass, unless a mask lets it through.
template <RnnCell cell>
constexpr bool kPasses = cell == RnnCell::gru || cell == RnnCell::gru_reset_before;

template <RnnCell cell, class Acts>
void gate_gradients(const BackwardStep& s, const Acts& acts) {
  for (int64_t row = 0; row < s.rows; ++row) {
    if (s.skips(row)) {
      pass_row<cell>(s, row);
      continue;
    }
    if (!kPasses<cell> && s.mask) zero_padded(s.blocks * kLanes, s.dpass + row * s.stride);
    if constexpr (cell == RnnCell::gru) gates_gru(s, row, acts);
    if constexpr (cell == RnnCell::gru_reset_before) gates_gru_reset_before(s, row, acts);
    if constexpr (cell == RnnCell::lstm) gates_lstm(s, row, acts);
    if constexpr (cell == RnnCell::simple) gates_simple(s, row, acts);
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
