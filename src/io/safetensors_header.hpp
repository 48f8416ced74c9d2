// The JSON at the front of a safetensors file, read by rules that leave nothing open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/io.hpp"

namespace gpunn::io {

struct TensorEntry {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape = {};
  std::uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of their bytes, which they cover without a gap
  Metadata metadata;
};

// Throws DataError, naming `file` and the tensor, for: text that is not JSON in UTF-8, keys that occur twice,
// keys or values the format does not have, a dtype that is not ours, a shape that does not fit its bytes, and
// bytes that overlap, leave a hole or do not end where the file ends.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t payload_bytes,
                                           const std::string& file);

std::string format_safetensors_header(const SafetensorsHeader& header);  // padded to a multiple of 8 bytes

std::string_view safetensors_name(Dtype dtype);  // "F32"

}  // namespace gpunn::io
