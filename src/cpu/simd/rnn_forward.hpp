// Forward through time. Included only by rnn_*.simd.cpp.
//
// Chunk by chunk: the input's share of all gates as one product into the forward slots, then the steps, each
// one product with the recurrent weights whose accumulators start from the slots and end in the activations.
#pragma once

#include "src/cpu/simd/rnn_activation.hpp"
#include "src/cpu/simd/rnn_copy.hpp"
#include "src/cpu/simd/rnn_pack.hpp"

namespace gpunn::cpu::simd {
namespace {

struct ForwardScratch {
  float* x;  // [copies][chunk rows][input]
  float* h;  // [chunk + 1][rows][units]: the state before and after each step
  float*
      h_met;  // [copies][rows][units]: the state as the weights meet it, if recurrent masks make a difference
  float* reset;  // GRU reset before: [rows][units], r * h
  float* c;      // LSTM: [rows][units]
  float* slots;  // forward slots of a chunk, when they are not kept

  template <RnnCell cell>
  static ForwardScratch at(const RnnShape& s, const Layout<cell>& l, Carver& carver) {
    const bool kept = keeps_slots<cell>(s);
    ForwardScratch f;
    f.x = carver.take(l.input_copies * l.chunk_rows * l.input_stride);
    f.h = carver.take((l.chunk + 1) * s.rows * l.units_stride);
    f.h_met = carver.take(s.recurrent_masks ? l.state_copies * s.rows * l.units_stride : 0);
    f.reset = carver.take(cell == RnnCell::gru_reset_before ? s.rows * l.units_stride : 0);
    f.c = carver.take(cell == RnnCell::lstm ? s.rows * l.units_stride : 0);
    f.slots = carver.take(kept ? 0 : l.chunk_rows * l.forward_floats);
    return f;
  }
};

// One time step of a slice.
struct Step {
  int64_t rows, blocks, units, stride;  // of rows of states
  Operand met;                          // the state as the weights meet it
  const float* h;
  float* h_next;
  float* reset;
  float* c;
  float* slots;
  int64_t slots_stride;
  const uint8_t* mask;  // of row 0 at this step, or null
  int64_t mask_stride;

  GPUNN_INLINE bool skips(int64_t row) const { return mask && !mask[row * mask_stride]; }
};

template <int R, int N>
GPUNN_INLINE void load_slots(Vec (&acc)[R][N], const float* slots, int64_t stride, int first) {
  GPUNN_UNROLL
  for (int r = 0; r < R; ++r) {
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) acc[r][v] = load(slots + r * stride + (first + v) * kLanes);
  }
}

template <class Acts>
void step_gru(const Step& s, const Packed& w, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    const Vec bias = load(w.candidate_bias + j * kLanes);
    for_row_tiles<step_rows(3)>(s.rows, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      float* slots = s.slots + i * s.slots_stride + j * 4 * kLanes;
      Vec acc[R][3];
      load_slots(acc, slots, s.slots_stride, 0);
      Vec input[R];
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) acc[r][2] = bias;
      multiply_gates(acc, s.met, i, w.recurrent + j * s.units * 3 * kLanes, s.units);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        float* q = slots + r * s.slots_stride;
        const int64_t at = (i + r) * s.stride + j * kLanes;
        const Vec h = load(s.h + at);
        input[r] = load(q + 2 * kLanes);
        const Vec z = acts.gate(acc[r][0]), reset = acts.gate(acc[r][1]);
        const Vec sum = fma(reset, acc[r][2], input[r]), g = acts.state(sum);
        store(q, acts.kept(acc[r][0], z));
        store(q + kLanes, acts.kept(acc[r][1], reset));
        store(q + 2 * kLanes, acts.kept(sum, g));
        store(q + 3 * kLanes, acc[r][2]);
        store(s.h_next + at, s.skips(i + r) ? h : fma(z, h - g, g));
      }
    });
  }
}

template <class Acts>
void step_gru_reset_before(const Step& s, const Packed& w, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    for_row_tiles<step_rows(2)>(s.rows, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      float* slots = s.slots + i * s.slots_stride + j * 3 * kLanes;
      Vec acc[R][2];
      load_slots(acc, slots, s.slots_stride, 0);
      multiply_gates(acc, s.met, i, w.recurrent + j * s.units * 2 * kLanes, s.units);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        float* q = slots + r * s.slots_stride;
        const int64_t at = (i + r) * s.stride + j * kLanes;
        const Vec reset = acts.gate(acc[r][1]);
        store(q, acts.kept(acc[r][0], acts.gate(acc[r][0])));
        store(q + kLanes, acts.kept(acc[r][1], reset));
        store(s.reset + at, reset * load(s.met.data + 2 * s.met.gate_stride + at));
      }
    });
  }
  for (int64_t j = 0; j < s.blocks; ++j) {
    for_row_tiles<step_rows(1)>(s.rows, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      float* slots = s.slots + i * s.slots_stride + j * 3 * kLanes;
      Vec acc[R][1];
      load_slots(acc, slots, s.slots_stride, 2);
      multiply_add(acc, s.reset + i * s.stride, s.stride, w.candidate + j * s.units * kLanes, s.units);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        float* q = slots + r * s.slots_stride;
        const int64_t at = (i + r) * s.stride + j * kLanes;
        const Vec h = load(s.h + at), z = acts.kept_gate_value(load(q)), g = acts.state(acc[r][0]);
        store(q + 2 * kLanes, acts.kept(acc[r][0], g));
        store(s.h_next + at, s.skips(i + r) ? h : fma(z, h - g, g));
      }
    });
  }
}

template <class Acts>
void step_lstm(const Step& s, const Packed& w, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    for_row_tiles<step_rows(4)>(s.rows, [&](auto height, int64_t row) {
      constexpr int R = decltype(height)::value;
      float* slots = s.slots + row * s.slots_stride + j * 5 * kLanes;
      Vec acc[R][4];
      load_slots(acc, slots, s.slots_stride, 0);
      multiply_gates(acc, s.met, row, w.recurrent + j * s.units * 4 * kLanes, s.units);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        float* q = slots + r * s.slots_stride;
        const int64_t at = (row + r) * s.stride + j * kLanes;
        const bool skips = s.skips(row + r);
        const Vec c = load(s.c + at);
        const Vec i = acts.gate(acc[r][0]), f = acts.gate(acc[r][1]);
        const Vec g = acts.state(acc[r][2]), o = acts.gate(acc[r][3]);
        const Vec c_next = skips ? c : fma(f, c, i * g);
        store(q, acts.kept(acc[r][0], i));
        store(q + kLanes, acts.kept(acc[r][1], f));
        store(q + 2 * kLanes, acts.kept(acc[r][2], g));
        store(q + 3 * kLanes, acts.kept(acc[r][3], o));
        store(q + 4 * kLanes, c_next);
        store(s.c + at, c_next);
        store(s.h_next + at, skips ? load(s.h + at) : o * acts.state(c_next));
      }
    });
  }
}

template <class Acts>
void step_simple(const Step& s, const Packed& w, const Acts& acts) {
  for (int64_t j = 0; j < s.blocks; ++j) {
    for_row_tiles<step_rows(1)>(s.rows, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      Vec acc[R][1];
      float* slots = s.slots + i * s.slots_stride + j * kLanes;
      load_slots(acc, slots, s.slots_stride, 0);
      multiply_gates(acc, s.met, i, w.recurrent + j * s.units * kLanes, s.units);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        if (!Acts::kKeepsValues) store(slots + r * s.slots_stride, acc[r][0]);
        const int64_t at = (i + r) * s.stride + j * kLanes;
        store(s.h_next + at, s.skips(i + r) ? load(s.h + at) : acts.state(acc[r][0]));
      }
    });
  }
}

template <RnnCell cell, class Acts>
GPUNN_INLINE void run_step(const Step& s, const Packed& w, const Acts& acts) {
  if constexpr (cell == RnnCell::gru) step_gru(s, w, acts);
  if constexpr (cell == RnnCell::gru_reset_before) step_gru_reset_before(s, w, acts);
  if constexpr (cell == RnnCell::lstm) step_lstm(s, w, acts);
  if constexpr (cell == RnnCell::simple) step_simple(s, w, acts);
}

// The input of a chunk as the kernel meets it: one copy, or one per gate.
template <RnnCell cell>
Operand load_input(const RnnShape& s, const RnnInputs& in, const Layout<cell>& l, const Window& w,
                   float* out) {
  const int64_t copy_floats = l.chunk_rows * l.input_stride;
  for (int64_t m = 0; m < l.input_copies; ++m) {
    load_window(in.x, w, s.input, in.mask, s.input_masks ? in.input_mask + m * s.input : nullptr,
                s.input_masks * s.input, out + m * copy_floats, l.input_stride);
  }
  return {out, l.input_stride, l.input_copies > 1 ? copy_floats : 0};
}

// The states of `count` rows (a multiple of the slice's) as the recurrent weights meet them; copies are
// copy_rows apart.
template <RnnCell cell>
Operand meet_weights(const RnnShape& s, const RnnInputs& in, const Layout<cell>& l, const float* h,
                     int64_t count, int64_t copy_rows, float* out) {
  if (!s.recurrent_masks) return {h, l.units_stride, 0};
  const int64_t copy_floats = copy_rows * l.units_stride;
  for (int64_t m = 0; m < l.state_copies; ++m) {
    scale_rows(h, count, s.rows, in.recurrent_mask + m * s.units, s.recurrent_masks * s.units, s.units, false,
               out + m * copy_floats, l.units_stride);
  }
  return {out, l.units_stride, l.state_copies > 1 ? copy_floats : 0};
}

// Where h of all steps is kept for backward, [rows, steps, units]: in the output or behind the slots of the
// state.
template <RnnCell cell>
int64_t kept_slot_floats(const RnnShape& s, const Layout<cell>& l) {
  return keeps_slots<cell>(s) ? s.steps * l.forward_floats : 0;
}

template <RnnCell cell, class Acts>
void forward_through_time(const RnnShape& s, const RnnForward& f) {
  using T = Traits<cell>;
  const Layout<cell> l(s);
  const Acts acts(s);
  Carver weights_at(const_cast<float*>(f.in.packed)), scratch_at(f.scratch);
  const Packed w = Packed::at(s, l, weights_at);
  const ForwardScratch scratch = ForwardScratch::at(s, l, scratch_at);
  float* kept_h = s.sequences ? f.y : s.training ? f.state + s.rows * kept_slot_floats(s, l) : nullptr;
  const int64_t step_floats = s.rows * l.units_stride;

  load_rows(f.in.h0, s.rows, s.units, scratch.h, l.units_stride);
  if (cell == RnnCell::lstm) load_rows(f.in.c0, s.rows, s.units, scratch.c, l.units_stride);
  float* h = scratch.h;
  for (int64_t first = 0; first < s.steps; first += l.chunk) {
    const int64_t count = s.steps - first < l.chunk ? s.steps - first : l.chunk;
    const Window window{s.rows, s.steps, first, count, s.reversed};
    float* slots = keeps_slots<cell>(s) ? f.state + first * s.rows * l.forward_floats : scratch.slots;
    const Operand x = load_input(s, f.in, l, window, scratch.x);
    project<T::kGates>(x, s.input, count * s.rows, l.blocks, w.kernel, w.bias, slots,
                       T::kForwardSlots * kLanes, l.forward_floats);
    if (h != scratch.h) load_rows(h, s.rows, l.units_stride, scratch.h, l.units_stride);
    h = scratch.h;
    for (int64_t t = 0; t < count; ++t, h += step_floats) {
      const Operand met = meet_weights(s, f.in, l, h, s.rows, s.rows, scratch.h_met);
      run_step<cell>({s.rows, l.blocks, s.units, l.units_stride, met, h, h + step_floats, scratch.reset,
                      scratch.c, slots + t * s.rows * l.forward_floats, l.forward_floats,
                      f.in.mask ? f.in.mask + window.at(0, t) : nullptr, s.steps},
                     w, acts);
    }
    const Window in_order{s.rows, s.steps, first, count, false};
    if (kept_h) store_window(scratch.h + step_floats, l.units_stride, in_order, s.units, false, kept_h);
  }
  store_rows(h, l.units_stride, s.rows, s.units, false, f.h_last);
  if (cell == RnnCell::lstm) store_rows(scratch.c, l.units_stride, s.rows, s.units, false, f.c_last);
}

template <RnnCell cell>
void forward(const RnnShape& s, const RnnForward& f) {
  if (rnn_has_default_activations(s)) {
    forward_through_time<cell, DefaultActivations>(s, f);
  } else {
    forward_through_time<cell, AnyActivations>(s, f);
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
