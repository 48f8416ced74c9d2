#include "src/io/gather.hpp"

#include <cstring>

namespace gpunn {
namespace {

void scale_bytes(const std::byte* from, std::size_t n, float scale, float* to) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
  for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(bytes[i]) * scale;
}

}  // namespace

std::vector<Field> fields_of(const Dataset& dataset) {
  std::vector<Field> fields = dataset.inputs();
  const std::vector<Field> targets = dataset.targets();
  fields.insert(fields.end(), targets.begin(), targets.end());
  if (dataset.has_weights()) fields.push_back({.shape = {}, .dtype = Dtype::f32});
  return fields;
}

void deliver(const Field& field, std::int64_t samples, const std::byte* stored, std::byte* delivered) {
  const std::size_t bytes = static_cast<std::size_t>(samples * field.shape.elements()) * size_of(field.dtype);
  if (bytes == 0) return;
  if (field.dtype == Dtype::u8) {
    scale_bytes(stored, bytes, field.scale, reinterpret_cast<float*>(delivered));
  } else {
    std::memcpy(delivered, stored, bytes);
  }
}

}  // namespace gpunn
