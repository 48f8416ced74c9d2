// Weights in the order in which the tiles read them. Included only by rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/rnn_layout.hpp"

namespace gpunn::cpu::simd {
namespace {

// GRU reset before multiplies r * h, not h, with the candidate's weights: its recurrent matrix is packed in
// two parts.
template <RnnCell cell>
constexpr int kFusedGates = cell == RnnCell::gru_reset_before ? 2 : Traits<cell>::kGates;

struct Packed {
  float* kernel;                // [blocks][input][gates][lanes]
  float* bias;                  // [blocks][gates][lanes]
  float* recurrent;             // [blocks][units][gates met by h][lanes]
  float* candidate;             // GRU reset before: [blocks][units][lanes]
  float* candidate_bias;        // GRU reset after, of h Ug: [blocks][lanes]
  float* kernel_transposed;     // panels of [blocks][gates][lanes][width], see multiply_transposed
  float* recurrent_transposed;  // the same over the units

  template <RnnCell cell>
  static Packed at(const RnnShape& s, const Layout<cell>& l, Carver& carver) {
    constexpr int G = Traits<cell>::kGates, F = kFusedGates<cell>;
    Packed p;
    p.kernel = carver.take(l.blocks * s.input * G * kLanes);
    p.bias = carver.take(l.blocks * G * kLanes);
    p.recurrent = carver.take(l.blocks * s.units * F * kLanes);
    p.candidate = carver.take(F < G ? l.blocks * s.units * kLanes : 0);
    p.candidate_bias = carver.take(l.blocks * kLanes);
    p.kernel_transposed = carver.take(l.blocks * G * kLanes * whole_vectors(s.input));
    p.recurrent_transposed = carver.take(l.blocks * G * kLanes * whole_vectors(s.units));
    return p;
  }
};

// One row of a weights' matrix: its value for gate g of unit u, 0 beyond the last unit.
GPUNN_INLINE float weight(const float* row, int64_t units, int g, int64_t u) {
  return u < units ? row[g * units + u] : 0.0f;
}

// [blocks][depth][count][lanes] from the gates first, first + 1, ... of weights [depth, gates * units].
void pack_panels(const float* weights, int64_t depth, int64_t units, int gates, int first, int count,
                 float* out) {
  for (int64_t j = 0; j < ceil_div(units, kLanes); ++j) {
    for (int64_t k = 0; k < depth; ++k) {
      const float* row = weights + k * gates * units;
      for (int g = 0; g < count; ++g) {
        const float* from = row + (first + g) * units + j * kLanes;
        const int64_t left = units - j * kLanes;
        store(out, left >= kLanes ? load(from) : load(from, Tail(static_cast<int>(left))));
        out += kLanes;
      }
    }
  }
}

// Panels of [blocks][gates in the order of their gradients' slots][lanes][width]: the transpose of [depth,
// gates * units].
void pack_transposed(const float* weights, int64_t depth, int64_t units, const GateSlots& slots,
                     int first_slot, float* out) {
  const int64_t vectors = ceil_div(depth, kLanes), row_floats = slots.gates * units;
  int gate_of_slot[4] = {};
  for (int g = 0; g < slots.gates; ++g) gate_of_slot[slots.slot[g] - first_slot] = g;
  for (int64_t p = 0; p < ceil_div(vectors, kTransposedVectors); ++p) {
    const int64_t begin = panel_first(vectors, p) * kLanes,
                  width = panel_first(vectors, p + 1) * kLanes - begin;
    for (int64_t j = 0; j < ceil_div(units, kLanes); ++j) {
      for (int s = 0; s < slots.gates; ++s, out += kLanes * width) {
        // Rows of weights outside: one of them is a cache line, and the block that is written stays in L1.
        for (int64_t n = 0; n < width; ++n) {
          const float* row = weights + (begin + n) * row_floats;
          for (int64_t lane = 0; lane < kLanes; ++lane) {
            out[lane * width + n] =
                begin + n < depth ? weight(row, units, gate_of_slot[s], j * kLanes + lane) : 0.0f;
          }
        }
      }
    }
  }
}

template <RnnCell cell>
void pack_biases(const RnnShape& s, const float* bias, const Layout<cell>& l, const Packed& to) {
  constexpr int G = Traits<cell>::kGates;
  for (int64_t u = 0; u < l.blocks * kLanes; ++u) {
    const int64_t j = u / kLanes, lane = u % kLanes;
    for (int g = 0; g < G; ++g) {
      float sum = bias ? weight(bias, s.units, g, u) : 0.0f;
      if (cell == RnnCell::gru && bias && g < 2) sum += weight(bias + G * s.units, s.units, g, u);
      to.bias[(j * G + g) * kLanes + lane] = sum;
    }
    to.candidate_bias[u] = cell == RnnCell::gru && bias ? weight(bias + G * s.units, s.units, 2, u) : 0.0f;
  }
}

template <RnnCell cell>
size_t packed_floats(const RnnShape& s) {
  Carver carver(nullptr);
  Packed::at(s, Layout<cell>(s), carver);
  return static_cast<size_t>(carver.used());
}

template <RnnCell cell>
void pack(const RnnShape& s, const RnnWeights& w, float* packed) {
  using T = Traits<cell>;
  constexpr int G = T::kGates, F = kFusedGates<cell>;
  const Layout<cell> l(s);
  Carver carver(packed);
  const Packed to = Packed::at(s, l, carver);
  pack_panels(w.kernel, s.input, s.units, G, 0, G, to.kernel);
  pack_panels(w.recurrent, s.units, s.units, G, 0, F, to.recurrent);
  if constexpr (F < G) pack_panels(w.recurrent, s.units, s.units, G, F, 1, to.candidate);
  pack_transposed(w.kernel, s.input, s.units, T::kInput, T::kInputFirst, to.kernel_transposed);
  pack_transposed(w.recurrent, s.units, s.units, T::kRecurrent, T::kRecurrentFirst, to.recurrent_transposed);
  pack_biases(s, w.bias, l, to);
}

}  // namespace
}  // namespace gpunn::cpu::simd
