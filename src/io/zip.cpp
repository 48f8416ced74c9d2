// The format is PKWARE's APPNOTE: entries, each behind a local header, then a central directory of all, then
// a record that says where it is. The directory counts; of a local header only its length matters.
#include "src/io/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"
#include "src/io/file.hpp"

namespace gpunn::io {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

constexpr std::uint32_t kLocalSignature = 0x04034b50, kDirectorySignature = 0x02014b50,
                        kEndSignature = 0x06054b50;
constexpr std::size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kMostComment = 0xFFFF;
constexpr std::uint16_t kStored = 0, kDeflated = 8, kEncrypted = 1;
constexpr std::uint32_t kInZip64 = 0xFFFFFFFF;

template <class T>
T number(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// What a raw deflate stream holds; fewer or more bytes than expected give an empty result.
std::vector<std::byte> inflate_all(std::span<const std::byte> compressed, std::size_t size) {
  std::vector<std::byte> result(size);
  std::byte nothing{};
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(size > 0 ? result.data() : &nothing);
  stream.avail_out = static_cast<uInt>(size);
  const int status = inflate(&stream, Z_FINISH);
  const bool whole = status == Z_STREAM_END && stream.total_out == size && stream.avail_in == 0;
  inflateEnd(&stream);
  if (!whole) result.clear();
  return result;
}

}  // namespace

ZipFile::ZipFile(const std::filesystem::path& path) : file_(path.string()) {
  InputFile file(path);
  if (file.size() == 0) fail("not a ZIP archive");
  bytes_.resize(file.size());
  file.read_exactly(bytes_);
  read_directory();
}

void ZipFile::fail(const std::string& what) const {
  throw DataError(cat(file_, ": ", what));
}

std::span<const std::byte> ZipFile::at(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > bytes_.size() || bytes > bytes_.size() - offset) fail("the ZIP archive ends too early");
  return std::span(bytes_).subspan(offset, bytes);
}

// Where the record at the end is; a comment may follow it.
std::uint64_t ZipFile::find_directory() const {
  if (bytes_.size() < kEndBytes) fail("not a ZIP archive");
  const std::size_t last = bytes_.size() - kEndBytes;
  const std::size_t first = last > kMostComment ? last - kMostComment : 0;
  for (std::size_t offset = last + 1; offset-- > first;) {
    const auto end = at(offset, kEndBytes);
    if (number<std::uint32_t>(end, 0) == kEndSignature &&
        number<std::uint16_t>(end, 20) == bytes_.size() - offset - kEndBytes) {
      return offset;
    }
  }
  fail("not a ZIP archive");
}

void ZipFile::read_directory() {
  const auto end = at(find_directory(), kEndBytes);
  const auto count = number<std::uint16_t>(end, 10);
  std::uint64_t offset = number<std::uint32_t>(end, 16);
  if (number<std::uint16_t>(end, 4) != 0 || number<std::uint16_t>(end, 6) != 0 ||
      number<std::uint16_t>(end, 8) != count) {
    fail("a ZIP archive in several parts");
  }
  if (offset == kInZip64) fail("a ZIP archive of more than 4 GiB");
  for (int i = 0; i < count; ++i) {
    const auto head = at(offset, kDirectoryBytes);
    if (number<std::uint32_t>(head, 0) != kDirectorySignature)
      fail("the directory of the ZIP archive is broken");
    const auto name_bytes = number<std::uint16_t>(head, 28);
    const auto name = at(offset + kDirectoryBytes, name_bytes);
    entries_.push_back({.name = std::string(reinterpret_cast<const char*>(name.data()), name.size()),
                        .flags = number<std::uint16_t>(head, 8),
                        .method = number<std::uint16_t>(head, 10),
                        .crc = number<std::uint32_t>(head, 16),
                        .compressed = number<std::uint32_t>(head, 20),
                        .size = number<std::uint32_t>(head, 24),
                        .header = number<std::uint32_t>(head, 42)});
    offset +=
        kDirectoryBytes + name_bytes + number<std::uint16_t>(head, 30) + number<std::uint16_t>(head, 32);
  }
}

std::vector<std::string> ZipFile::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

std::vector<std::byte> ZipFile::read(const std::string& name, std::int64_t max_bytes) const {
  const auto entry = std::ranges::find(entries_, name, &Entry::name);
  if (entry == entries_.end()) fail(cat("there is no ", in_quotes(name), " in the archive"));
  const auto refuse = [&](const std::string& what) { fail(cat(in_quotes(name), " ", what)); };
  if (entry->compressed == kInZip64 || entry->size == kInZip64 || entry->header == kInZip64)
    refuse("is larger than 4 GiB");
  if ((entry->flags & kEncrypted) != 0) refuse("is encrypted");
  if (entry->size > max_bytes) refuse(cat("has ", entry->size, " bytes, more than max_bytes allows"));

  const auto head = at(entry->header, kLocalBytes);
  if (number<std::uint32_t>(head, 0) != kLocalSignature) refuse("is not where the directory says");
  const std::uint64_t begin = std::uint64_t{entry->header} + kLocalBytes + number<std::uint16_t>(head, 26) +
                              number<std::uint16_t>(head, 28);
  const auto data = at(begin, entry->compressed);
  std::vector<std::byte> content;
  if (entry->method == kStored) {
    content.assign(data.begin(), data.end());
  } else if (entry->method == kDeflated) {
    constexpr std::uint64_t kMostPerByte = 1032;  // deflate: 258 bytes from 2 bits; asked before memory is
    if (entry->size > data.size() * kMostPerByte) refuse("is too short for the size that it claims");
    content = inflate_all(data, entry->size);
  } else {
    refuse(cat("is compressed by method ", entry->method, ", which is not known here"));
  }
  if (content.size() != entry->size) refuse("is broken: its size is not the one it claims");
  const auto* first = reinterpret_cast<const Bytef*>(content.data());
  if (crc32_z(0, first, content.size()) != entry->crc) refuse("is broken: its checksum differs");
  return content;
}

}  // namespace gpunn::io
