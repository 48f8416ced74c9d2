// ZIP archives, as numpy writes them: entries stored or deflated, below 4 GiB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace gpunn::io {

class ZipFile {
 public:
  // Throws FileError, and DataError for a file that is no archive or one that this cannot read.
  explicit ZipFile(const std::filesystem::path& path);

  std::vector<std::string> names() const;
  // An entry, decompressed and checked against its CRC. Throws DataError when there is none of this name, or
  // it has more than max_bytes.
  std::vector<std::byte> read(const std::string& name, std::int64_t max_bytes) const;

 private:
  struct Entry {
    std::string name;
    std::uint16_t flags = 0, method = 0;
    std::uint32_t crc = 0, compressed = 0, size = 0, header = 0;  // header: where its local header begins
  };
  std::span<const std::byte> at(std::uint64_t offset, std::uint64_t bytes) const;
  std::uint64_t find_directory() const;
  void read_directory();
  [[noreturn]] void fail(const std::string& what) const;

  std::string file_;
  std::vector<std::byte> bytes_;
  std::vector<Entry> entries_;
};

}  // namespace gpunn::io
