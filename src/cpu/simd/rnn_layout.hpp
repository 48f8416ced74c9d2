// What a cell keeps and where everything lies: packed weights, state, scratch. Included only by
// rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/rnn_sequence.hpp"
#include "src/cpu/simd/rnn_weight_gradient.hpp"

namespace gpunn::cpu::simd {
namespace {

// Slots are vectors of one block of kLanes units. The forward slots hold the input's share of the gates, then
// their values; the gradient slots are ordered so that those which meet the kernel, and those which meet the
// recurrent weights, are neighbours.
template <RnnCell cell>
struct Traits;

template <>
struct Traits<RnnCell::gru> {
  static constexpr int kGates = 3, kForwardSlots = 4, kGradientSlots = 4;
  static constexpr GateSlots kInput = {3, {1, 2, 0}};      // g z r (g * r): z, r, g of the input
  static constexpr GateSlots kRecurrent = {3, {1, 2, 3}};  // z, r, g * r of the state
  static constexpr int kInputFirst = 0, kRecurrentFirst = 1;
};
template <>
struct Traits<RnnCell::gru_reset_before> {
  static constexpr int kGates = 3, kForwardSlots = 3, kGradientSlots = 3;
  static constexpr GateSlots kInput = {3, {0, 1, 2}}, kRecurrent = kInput;
  static constexpr int kInputFirst = 0, kRecurrentFirst = 0;
};
template <>
struct Traits<RnnCell::lstm> {
  static constexpr int kGates = 4, kForwardSlots = 5, kGradientSlots = 4;  // the fifth is c
  static constexpr GateSlots kInput = {4, {0, 1, 2, 3}}, kRecurrent = kInput;
  static constexpr int kInputFirst = 0, kRecurrentFirst = 0;
};
template <>
struct Traits<RnnCell::simple> {
  static constexpr int kGates = 1, kForwardSlots = 1, kGradientSlots = 1;
  static constexpr GateSlots kInput = {1, {0}}, kRecurrent = kInput;
  static constexpr int kInputFirst = 0, kRecurrentFirst = 0;
};

// SimpleRNN with tanh needs nothing but h; with another activation what it was applied to.
template <RnnCell cell>
constexpr bool keeps_slots(const RnnShape& s) {
  return s.training && (cell != RnnCell::simple || !rnn_has_default_activations(s));
}

constexpr int64_t whole_vectors(int64_t n) {
  return ceil_div(n, kLanes) * kLanes;
}

// Rows of compact copies end in a cache line of padding: rows 2^k bytes apart would share few sets of L1, and
// tiles of 8 may read beyond the last value.
constexpr int64_t kPadding = 16;

// Time is cut into chunks of about this many rows times steps: the input's share of all their gates as one
// product, and in backward the weights' gradients while the chunk's are in L2.
constexpr int64_t kChunkRows = 128;
constexpr int64_t kMaxChunkSteps = 64;

template <RnnCell cell>
struct Layout {
  using T = Traits<cell>;
  int64_t blocks, units_stride, input_stride, gradient_stride;
  int64_t forward_floats;  // of one row and step of forward slots
  int64_t chunk;           // steps
  int64_t chunk_rows;
  int64_t input_copies, state_copies;  // of a gate's operand: more than one only with masks per gate

  explicit Layout(const RnnShape& s)
      : blocks(ceil_div(s.units, kLanes)),
        units_stride(blocks * kLanes + kPadding),
        input_stride(whole_vectors(s.input) + kPadding),
        gradient_stride(blocks * T::kGradientSlots * kLanes + kPadding),
        forward_floats(blocks * T::kForwardSlots * kLanes) {
    const int64_t fit = s.rows > 0 ? kChunkRows / s.rows : kMaxChunkSteps;
    chunk = fit < 1 ? 1 : fit > kMaxChunkSteps ? kMaxChunkSteps : fit;
    if (chunk > s.steps) chunk = s.steps;
    chunk_rows = chunk * s.rows;
    input_copies = s.input_masks > 1 ? s.input_masks : 1;
    state_copies = s.recurrent_masks > 1 ? s.recurrent_masks : 1;
  }
};

// Hands out pieces of one buffer, each starting on a cache line. With a null buffer it only counts.
class Carver {
 public:
  explicit Carver(float* base) : base_(base) {}
  float* take(int64_t floats) {
    float* piece = base_ ? base_ + used_ : nullptr;
    used_ += ceil_div(floats, 16) * 16;
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  float* base_;
  int64_t used_ = 0;
};

}  // namespace
}  // namespace gpunn::cpu::simd
