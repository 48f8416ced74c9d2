// From stored rows to what a model reads.
#pragma once

#include <cstdint>
#include <span>

#include "gpunn/data.hpp"

namespace gpunn {

// What a model sees of a field: f32 for u8, the stored dtype for all others.
inline Dtype delivered_dtype(const Field& field) {
  return field.dtype == Dtype::u8 ? Dtype::f32 : field.dtype;
}

// Bytes of one sample, stored and as delivered.
std::size_t stored_bytes(const Field& field);
std::size_t delivered_bytes(const Field& field);

// inputs, targets and weights of a data set: its fields in the order in which they are read.
std::vector<Field> fields_of(const Dataset& dataset);

// Converts `samples` stored samples to what the model reads.
void deliver(const Field& field, std::int64_t samples, const std::byte* stored, std::byte* delivered);

// Delivers the given rows of a resident column. REQUIRES: rows within it.
void gather_rows(const Field& field, const Tensor& column, std::span<const std::int64_t> rows,
                 std::byte* delivered);

}  // namespace gpunn
