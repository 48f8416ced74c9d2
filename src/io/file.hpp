// Files: opened, read and written with every refusal of the system turned into a FileError, and replaced
// atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "gpunn/error.hpp"

namespace gpunn::io {

// A file that is read. The descriptor closes with the object.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // throws FileError; refuses directories
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }   // when it was opened; 0 for pipes
  std::size_t read(std::span<std::byte> into);   // as many as there are; fewer than asked only at the end
  void read_exactly(std::span<std::byte> into);  // throws DataError at an early end

 private:
  const std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// A file that replaces `path` when it is committed, or never existed. Readers see the old or the new one,
// whatever happens in between, a loss of power included.
class AtomicFile {
 public:
  explicit AtomicFile(
      const std::filesystem::path& path);  // creates a temporary file beside it; throws FileError
  ~AtomicFile();                           // removes that, unless it was committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();  // flushes to the disk, renames, flushes the directory

 private:
  const std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// Test seam. While one of these lives, operation number `fail_at` (from 1; 0 = none) fails with `error`.
// Operations are the open and read of an InputFile and the open, write, fsync, close, rename and directory
// fsync of an AtomicFile; a failing write first writes half of its bytes, unless it is interrupted (EINTR).
class FileFault {
 public:
  FileFault(std::int64_t fail_at, int error);
  ~FileFault();
  FileFault(const FileFault&) = delete;
  FileFault& operator=(const FileFault&) = delete;

  std::int64_t operations() const;  // seen since construction
};

}  // namespace gpunn::io
