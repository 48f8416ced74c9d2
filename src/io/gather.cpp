#include "src/io/gather.hpp"

#include <cstring>

#include "src/core/copy_rows.hpp"

namespace gpunn {
namespace {

void scale_bytes(const std::byte* from, std::size_t n, float scale, float* to) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
  for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(bytes[i]) * scale;
}

}  // namespace

std::size_t stored_bytes(const Field& field) {
  return static_cast<std::size_t>(field.shape.elements()) * size_of(field.dtype);
}

std::size_t delivered_bytes(const Field& field) {
  return static_cast<std::size_t>(field.shape.elements()) * size_of(delivered_dtype(field));
}

std::vector<Field> fields_of(const Dataset& dataset) {
  std::vector<Field> fields = dataset.inputs();
  const std::vector<Field> targets = dataset.targets();
  fields.insert(fields.end(), targets.begin(), targets.end());
  if (dataset.has_weights()) fields.push_back({.shape = {}, .dtype = Dtype::f32});
  return fields;
}

void deliver(const Field& field, std::int64_t samples, const std::byte* stored, std::byte* delivered) {
  const std::size_t bytes = static_cast<std::size_t>(samples) * stored_bytes(field);
  if (bytes == 0) return;
  if (field.dtype == Dtype::u8) {
    scale_bytes(stored, bytes, field.scale, reinterpret_cast<float*>(delivered));
  } else {
    std::memcpy(delivered, stored, bytes);
  }
}

void gather_rows(const Field& field, const Tensor& column, std::span<const std::int64_t> rows,
                 std::byte* delivered) {
  const std::size_t from = stored_bytes(field), to = delivered_bytes(field);
  if (field.dtype != Dtype::u8) return copy_rows(column.bytes(), rows, from, delivered);
  for (const std::int64_t row : rows) {
    scale_bytes(column.bytes() + static_cast<std::size_t>(row) * from, from, field.scale,
                reinterpret_cast<float*>(delivered));
    delivered += to;
  }
}

}  // namespace gpunn
