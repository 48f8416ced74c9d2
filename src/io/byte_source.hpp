// The bytes of a file, decompressed if it is gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace gpunn::io {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fewer bytes than asked only at the end. Throws FileError, or DataError for a broken gzip stream.
  virtual std::size_t read(std::span<std::byte> into) = 0;
  // No more bytes than this can come: what a header claims is checked against it before memory is asked for.
  virtual std::uint64_t most_bytes() const = 0;
};

// gzip is known by its first two bytes, not by the file's name. Several gzip members follow each other as one
// text; anything else after a member is an error.
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

}  // namespace gpunn::io
