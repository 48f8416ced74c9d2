// From stored rows to what a model reads.
#pragma once

#include <cstdint>
#include <vector>

#include "gpunn/data.hpp"

namespace gpunn {

// What a model sees of a field: f32 for u8, the stored dtype for all others.
inline Dtype delivered_dtype(const Field& field) {
  return field.dtype == Dtype::u8 ? Dtype::f32 : field.dtype;
}

// inputs, targets and weights of a data set: its fields in the order in which they are read.
std::vector<Field> fields_of(const Dataset& dataset);

// Converts `samples` stored samples to what the model reads.
void deliver(const Field& field, std::int64_t samples, const std::byte* stored, std::byte* delivered);

}  // namespace gpunn
