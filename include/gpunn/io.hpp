// Files of named tensors in the safetensors format: no code in them, nothing executed to read them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/export.hpp"
#include "gpunn/tensor.hpp"

namespace gpunn::io {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

using Metadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  std::vector<NamedTensor> tensors;  // in the order of the file
  Metadata metadata;                 // what the writer passed

  GPUNN_API const Tensor* find(std::string_view name) const;  // null if there is none
};

// Writes the file whole or not at all: into a temporary file beside it, flushed to the disk, then renamed
// over `path`. A checksum (CRC32C) of every tensor and of the header goes into the file's metadata, under
// keys that start with "gpunn.crc32c". Throws FileError when the system refuses, UsageError for two tensors
// of one name or a reserved key.
GPUNN_API void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                                const Metadata& metadata = {});

struct SafetensorsLimits {
  std::int64_t header_bytes = 100'000'000;  // the format's own limit
};

// Reads a whole file, written by us or anyone. Every rule of the format is enforced and checksums are
// verified if the file has them. Throws FileError when it cannot be read and DataError, naming file and
// tensor, when it is not right.
GPUNN_API SafetensorsFile load_safetensors(const std::filesystem::path& path,
                                           const SafetensorsLimits& limits = {});

}  // namespace gpunn::io
