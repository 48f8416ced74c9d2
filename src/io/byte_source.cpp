#include "src/io/byte_source.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>

#include "src/core/text.hpp"
#include "src/io/file.hpp"

namespace gpunn::io {
namespace {

class Plain final : public ByteSource {
 public:
  Plain(std::unique_ptr<InputFile> file, std::span<const std::byte> first) : file_(std::move(file)) {
    std::copy(first.begin(), first.end(), first_.begin());
    first_left_ = std::span(first_).first(first.size());
  }

  std::size_t read(std::span<std::byte> into) override {
    const std::size_t from_first = std::min(into.size(), first_left_.size());
    std::copy_n(first_left_.begin(), from_first, into.begin());
    first_left_ = first_left_.subspan(from_first);
    return from_first + file_->read(into.subspan(from_first));
  }

  std::uint64_t most_bytes() const override {
    return file_->size() > 0 ? file_->size()
                             : std::numeric_limits<std::uint64_t>::max();  // a pipe does not know
  }

 private:
  std::unique_ptr<InputFile> file_;
  std::array<std::byte, 2> first_{};  // read already, to see what the file is
  std::span<std::byte> first_left_;
};

class Gzip final : public ByteSource {
 public:
  Gzip(std::unique_ptr<InputFile> file, std::span<const std::byte> first) : file_(std::move(file)) {
    std::copy(first.begin(), first.end(), compressed_.begin());
    stream_.next_in = reinterpret_cast<Bytef*>(compressed_.data());
    stream_.avail_in = static_cast<uInt>(first.size());
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { inflateEnd(&stream_); }

  std::size_t read(std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size() && !ended_) done += inflate_some(into.subspan(done));
    return done;
  }

  std::uint64_t most_bytes() const override {
    constexpr std::uint64_t kMostPerByte = 1032;  // deflate: 258 bytes from 2 bits
    const std::uint64_t size = file_->size();
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
    return size > 0 && size < kMost / kMostPerByte ? size * kMostPerByte : kMost;
  }

 private:
  std::size_t inflate_some(std::span<std::byte> into) {
    if (stream_.avail_in == 0 && !refill()) {
      // The file may only end between two members.
      if (!between_members_) throw DataError(cat(file_->path().string(), ": the gzip stream ends too early"));
      ended_ = true;
      return 0;
    }
    if (between_members_) {
      inflateReset(&stream_);
      between_members_ = false;
    }
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    const auto room = static_cast<uInt>(std::min<std::size_t>(into.size(), 1u << 30));
    stream_.avail_out = room;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) between_members_ = true;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      throw DataError(cat(file_->path().string(), ": broken gzip stream (",
                          stream_.msg != nullptr ? stream_.msg : "no reason given", ")"));
    }
    return room - stream_.avail_out;
  }

  bool refill() {
    const std::size_t got = file_->read(compressed_);
    stream_.next_in = reinterpret_cast<Bytef*>(compressed_.data());
    stream_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }

  std::unique_ptr<InputFile> file_;
  std::array<std::byte, 1 << 15> compressed_;
  z_stream stream_{};
  bool between_members_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path) {
  auto file = std::make_unique<InputFile>(path);
  std::array<std::byte, 2> first{};
  const auto read = std::span<const std::byte>(first).first(file->read(first));
  constexpr std::array<std::byte, 2> kGzipMagic{std::byte{0x1F}, std::byte{0x8B}};
  if (read.size() == 2 && first == kGzipMagic) return std::make_unique<Gzip>(std::move(file), read);
  return std::make_unique<Plain>(std::move(file), read);
}

}  // namespace gpunn::io
