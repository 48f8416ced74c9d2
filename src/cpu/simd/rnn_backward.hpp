// Backward through time. Included only by rnn_*.simd.cpp.
//
// Chunk by chunk from the end: step by step the gates' gradients and, through the transposed recurrent
// weights, dh; then, while the chunk's gradients are in L2, its share of the weights' gradients and of dx.
#pragma once

#include "src/cpu/simd/rnn_backward_step.hpp"

namespace gpunn::cpu::simd {
namespace {

struct BackwardScratch {
  float* x;       // [copies][chunk rows][input]
  float* h;       // [chunk + 1][rows][units]: before each step, and after the last
  float* h_met;   // [copies][chunk rows][units], if recurrent masks make a difference
  float* reset;   // GRU reset before: r * h, [chunk rows][units]
  float* dreset;  // its gradient, [rows][units]
  float* dy;      // [chunk rows][units]
  float* dgates;  // [chunk rows][gradient slots]
  float* dx;      // [chunk rows][input]
  float* masked;  // what went through weights behind a dropout mask: as wide as dx or dh
  float* dh;      // [rows][units]
  float* dpass;   // [rows][units]
  float* c0;      // LSTM: [rows][units]
  float* dc;      // LSTM: [rows][units]

  template <RnnCell cell>
  static BackwardScratch at(const RnnShape& s, const Layout<cell>& l, Carver& carver) {
    const int64_t state = s.rows * l.units_stride, states = l.chunk_rows * l.units_stride;
    const int64_t inputs = l.chunk_rows * l.input_stride;
    const bool before = cell == RnnCell::gru_reset_before, lstm = cell == RnnCell::lstm;
    BackwardScratch b;
    b.x = carver.take(l.input_copies * inputs);
    b.h = carver.take(states + state);
    b.h_met = carver.take(s.recurrent_masks ? l.state_copies * states : 0);
    b.reset = carver.take(before ? states : 0);
    b.dreset = carver.take(before ? state : 0);
    b.dy = carver.take(states);
    b.dgates = carver.take(l.chunk_rows * l.gradient_stride);
    b.dx = carver.take(inputs);
    b.masked = carver.take(s.input_masks || s.recurrent_masks ? (inputs > state ? inputs : state) : 0);
    b.dh = carver.take(state);
    b.dpass = carver.take(state);
    b.c0 = carver.take(lstm ? state : 0);
    b.dc = carver.take(lstm ? state : 0);
    return b;
  }
};

template <RnnCell cell>
GateGradients gate_rows(const Layout<cell>& l, const float* rows) {
  return {rows, l.gradient_stride, Traits<cell>::kGradientSlots * kLanes};
}

// Gates [first, first + count) of the product with a matrix' transposed weights; per_gate: one by one,
// because a dropout mask stands behind each.
template <class Use>
GPUNN_INLINE void for_slot_runs(const GateSlots& slots, int first_slot, int first, int count, bool per_gate,
                                Use use) {
  if (!per_gate) return use(SlotRun{first_slot + first, first, count, slots.gates}, first);
  for (int g = first; g < first + count; ++g) {
    use(SlotRun{slots.slot[g], slots.slot[g] - first_slot, 1, slots.gates}, g);
  }
}

// dh = dpass + what comes back through the recurrent weights of the gates that met h.
template <RnnCell cell>
void through_recurrent(const RnnShape& s, const RnnInputs& in, const Layout<cell>& l, const Packed& w,
                       const GateGradients& dgates, const BackwardScratch& b) {
  using T = Traits<cell>;
  const bool passes = kPasses<cell> || in.mask;
  const float* init = passes ? b.dpass : nullptr;
  constexpr int F = kFusedGates<cell>;
  if (s.recurrent_masks) {
    load_rows(init, s.rows, l.units_stride, b.dh, l.units_stride);
  }
  for_slot_runs(T::kRecurrent, T::kRecurrentFirst, 0, F, s.recurrent_masks > 1, [&](SlotRun run, int gate) {
    if (!s.recurrent_masks) {
      return multiply_transposed(dgates, run, s.rows, l.blocks, w.recurrent_transposed, init, b.dh,
                                 l.units_stride, l.blocks);
    }
    multiply_transposed(dgates, run, s.rows, l.blocks, w.recurrent_transposed, nullptr, b.masked,
                        l.units_stride, l.blocks);
    scale_rows(b.masked, s.rows, s.rows, in.recurrent_mask + gate * s.units, s.recurrent_masks * s.units,
               s.units, true, b.dh, l.units_stride);
  });
}

template <RnnCell cell>
void input_gradient(const RnnShape& s, const RnnInputs& in, const Layout<cell>& l, const Packed& w,
                    const GateGradients& dgates, int64_t rows, const BackwardScratch& b) {
  using T = Traits<cell>;
  const int64_t vectors = ceil_div(s.input, kLanes);
  for_slot_runs(T::kInput, T::kInputFirst, 0, T::kGates, s.input_masks > 1, [&](SlotRun run, int gate) {
    float* out = s.input_masks ? b.masked : b.dx;
    multiply_transposed(dgates, run, rows, l.blocks, w.kernel_transposed, nullptr, out, l.input_stride,
                        vectors);
    if (!s.input_masks) return;
    scale_rows(b.masked, rows, s.rows, in.input_mask + gate * s.input, s.input_masks * s.input, s.input,
               gate > 0, b.dx, l.input_stride);
  });
}

// dU; GRU reset before: its last gate met r * h.
template <RnnCell cell>
void recurrent_gradient(const RnnShape& s, const Layout<cell>& l, const GateGradients& dgates,
                        const Operand& met, int64_t rows, bool add, const BackwardScratch& b, float* out) {
  using T = Traits<cell>;
  const int64_t width = T::kGates * s.units;
  if constexpr (cell == RnnCell::gru_reset_before) {
    weight_gradient(met, dgates, {2, {0, 1}}, rows, {out, s.units, width, s.units, add});
    weight_gradient({b.reset, l.units_stride, 0}, dgates, {1, {2}}, rows,
                    {out + 2 * s.units, s.units, width, s.units, add});
  } else {
    weight_gradient(met, dgates, T::kRecurrent, rows, {out, s.units, width, s.units, add});
  }
}

template <RnnCell cell>
struct BackwardPass {
  const RnnShape& s;
  const RnnBackward& g;
  Layout<cell> l;
  Packed w;
  BackwardScratch b;

  BackwardPass(const RnnShape& shape, const RnnBackward& gradients) : s(shape), g(gradients), l(shape) {
    Carver weights_at(const_cast<float*>(g.in.packed)), scratch_at(g.scratch);
    w = Packed::at(s, l, weights_at);
    b = BackwardScratch::at(s, l, scratch_at);
  }

  template <class Acts>
  void run(const Acts& acts) {
    load_rows(g.dh_last, s.rows, s.units, b.dh, l.units_stride);
    if (cell == RnnCell::lstm) {
      load_rows(g.in.c0, s.rows, s.units, b.c0, l.units_stride);
      load_rows(g.dc_last, s.rows, s.units, b.dc, l.units_stride);
    }
    for (int64_t end = s.steps; end > 0; end -= l.chunk) {
      const int64_t first = end > l.chunk ? end - l.chunk : 0;
      chunk(first, end - first, acts);
    }
    if (s.steps == 0 || s.rows == 0) clear();
    store_rows(b.dh, l.units_stride, s.rows, s.units, g.dh0_add, g.dh0);
    if (cell == RnnCell::lstm) store_rows(b.dc, l.units_stride, s.rows, s.units, g.dc0_add, g.dc0);
  }

 private:
  int64_t step_floats() const { return s.rows * l.units_stride; }

  // h before each step of the chunk and after the last.
  void load_states(int64_t first, int64_t count) {
    const float* kept = s.sequences ? g.y : g.state + s.rows * kept_slot_floats(s, l);
    if (first == 0) {
      load_rows(g.in.h0, s.rows, s.units, b.h, l.units_stride);
      load_window(kept, {s.rows, s.steps, 0, count, false}, s.units, nullptr, nullptr, 0, b.h + step_floats(),
                  l.units_stride);
    } else {
      load_window(kept, {s.rows, s.steps, first - 1, count + 1, false}, s.units, nullptr, nullptr, 0, b.h,
                  l.units_stride);
    }
  }

  template <class Acts>
  void chunk(int64_t first, int64_t count, const Acts& acts) {
    const Window window{s.rows, s.steps, first, count, s.reversed};
    const int64_t rows = count * s.rows;
    load_states(first, count);
    if (g.dy) {
      load_window(g.dy, {s.rows, s.steps, first, count, false}, s.units, nullptr, nullptr, 0, b.dy,
                  l.units_stride);
    }
    const Operand met = meet_weights(s, g.in, l, b.h, rows, l.chunk_rows, b.h_met);
    for (int64_t t = count - 1; t >= 0; --t) step(first, t, window, met, acts);

    const GateGradients dgates = gate_rows(l, b.dgates);
    const bool again = first + count < s.steps;  // another chunk has been here
    using T = Traits<cell>;
    if (g.dkernel) {
      const Operand x = load_input(s, g.in, l, window, b.x);
      weight_gradient(x, dgates, T::kInput, rows,
                      {g.dkernel, s.input, T::kGates * s.units, s.units, again || g.dkernel_add});
    }
    if (g.drecurrent) recurrent_gradient(s, l, dgates, met, rows, again || g.drecurrent_add, b, g.drecurrent);
    if (g.dbias) {
      const bool add = again || g.dbias_add;
      bias_gradient(dgates, T::kInput, rows, s.units, add, g.dbias);
      if (cell == RnnCell::gru) {
        bias_gradient(dgates, T::kRecurrent, rows, s.units, add, g.dbias + T::kGates * s.units);
      }
    }
    if (g.dx) {
      input_gradient(s, g.in, l, w, dgates, rows, b);
      store_window(b.dx, l.input_stride, window, s.input, g.dx_add, g.dx);
    }
  }

  template <class Acts>
  void step(int64_t first, int64_t t, const Window& window, const Operand& met, const Acts& acts) {
    const int64_t slots_step = s.rows * l.forward_floats;
    const float* slots = g.state + (first + t) * slots_step;
    const bool from_c0 = first + t == 0;
    const BackwardStep now{
        .rows = s.rows,
        .blocks = l.blocks,
        .stride = l.units_stride,
        .slots = slots,
        .slots_stride = l.forward_floats,
        .h = b.h + t * step_floats(),
        .h_next = b.h + (t + 1) * step_floats(),
        .c = from_c0 ? b.c0 : slots - slots_step + 4 * kLanes,
        .c_stride = from_c0 ? l.units_stride : l.forward_floats,
        .c_block = from_c0 ? kLanes : 5 * kLanes,
        .dh = b.dh,
        .dy = g.dy ? b.dy + t * step_floats() : nullptr,
        .dc = b.dc,
        .dgates = b.dgates + t * s.rows * l.gradient_stride,
        .dgates_stride = l.gradient_stride,
        .dpass = b.dpass,
        .mask = g.in.mask ? g.in.mask + window.at(0, t) : nullptr,
        .mask_stride = s.steps,
    };
    gate_gradients<cell>(now, acts);
    const GateGradients dgates = gate_rows(l, now.dgates);
    if constexpr (cell == RnnCell::gru_reset_before) through_candidate(now, t, dgates, met, acts);
    through_recurrent(s, g.in, l, w, dgates, b);
  }

  // GRU reset before: d(r * h) from the candidate, then what needs it.
  template <class Acts>
  void through_candidate(const BackwardStep& now, int64_t t, const GateGradients& dgates, const Operand& met,
                         const Acts& acts) {
    multiply_transposed(dgates, {2, 2, 1, 3}, s.rows, l.blocks, w.recurrent_transposed, nullptr, b.dreset,
                        l.units_stride, l.blocks);
    const float* h_met = met.data + 2 * met.gate_stride + t * step_floats();
    const int64_t mask_of_candidate = s.recurrent_masks > 1 ? 2 : 0;
    for (int64_t row = 0; row < s.rows; ++row) {
      if (now.skips(row)) {
        zero_padded(l.blocks * kLanes, b.reset + t * step_floats() + row * l.units_stride);
        continue;
      }
      const float* scale = s.recurrent_masks
                               ? g.in.recurrent_mask + (row * s.recurrent_masks + mask_of_candidate) * s.units
                               : nullptr;
      reset_gate(now, {h_met, b.dreset, scale, s.units, b.reset + t * step_floats()}, row, acts);
    }
  }

  // Nothing to sum: the weights' gradients are zeros, unless they are added to.
  void clear() {
    constexpr int64_t G = Traits<cell>::kGates;
    const auto zero = [](float* out, int64_t n, bool add) {
      if (!out || add) return;
      for_vectors(n, [=](int64_t i, auto part) { store(out + i, Vec{}, part); });
    };
    zero(g.dkernel, s.input * G * s.units, g.dkernel_add);
    zero(g.drecurrent, s.units * G * s.units, g.drecurrent_add);
    zero(g.dbias, rnn_biases(cell) * G * s.units, g.dbias_add);
  }
};

template <RnnCell cell>
void backward(const RnnShape& s, const RnnBackward& g) {
  BackwardPass<cell> pass(s, g);
  if (rnn_has_default_activations(s)) {
    pass.run(DefaultActivations(s));
  } else {
    pass.run(AnyActivations(s));
  }
}

template <RnnCell cell>
size_t state_floats_per_row(const RnnShape& s) {
  if (!s.training) return 0;
  return static_cast<size_t>(kept_slot_floats(s, Layout<cell>(s)) + (s.sequences ? 0 : s.steps * s.units));
}

template <RnnCell cell>
size_t scratch_floats(const RnnShape& s) {
  const Layout<cell> l(s);
  Carver of_forward(nullptr), of_backward(nullptr);
  ForwardScratch::at(s, l, of_forward);
  BackwardScratch::at(s, l, of_backward);
  return static_cast<size_t>(of_forward.used() > of_backward.used() ? of_forward.used() : of_backward.used());
}

template <RnnCell cell>
constexpr RnnKernels kRnnKernels = {
    .packed_floats = packed_floats<cell>,
    .state_floats_per_row = state_floats_per_row<cell>,
    .scratch_floats = scratch_floats<cell>,
    .pack = pack<cell>,
    .forward = forward<cell>,
    .backward = backward<cell>,
};

}  // namespace
}  // namespace gpunn::cpu::simd
