#include "src/io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

#include "src/core/text.hpp"

namespace gpunn::io {
namespace {

// One read or write call moves at most this much: Linux caps it at 2 GiB anyway.
constexpr std::size_t kMostPerCall = std::size_t{1} << 30;

std::atomic<std::int64_t> operation_count{0};
std::atomic<std::int64_t> failing_operation{0};
std::atomic<int> injected_error{0};

// Counts an operation and says whether it is the one to fail; then errno is set.
bool injected() {
  const std::int64_t operation = operation_count.fetch_add(1, std::memory_order_relaxed) + 1;
  if (operation != failing_operation.load(std::memory_order_relaxed)) return false;
  errno = injected_error;
  return true;
}

[[noreturn]] void refuse(const char* what, const std::filesystem::path& path) {
  const std::string reason = std::generic_category().message(errno);
  throw FileError(cat("cannot ", what, " ", path.string(), ": ", reason));
}

// What ::write does, with the test seam; -1 and errno on failure.
ssize_t write_some(int descriptor, std::span<const std::byte> bytes) {
  if (injected()) {
    const int error = errno;
    if (error != EINTR) static_cast<void>(!::write(descriptor, bytes.data(), bytes.size() / 2));
    errno = error;
    return -1;
  }
  return ::write(descriptor, bytes.data(), std::min(bytes.size(), kMostPerCall));
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return;  // may be written but not read: the rename stands, only its time on disk is open
  const bool failed = injected() || ::fsync(descriptor) != 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  // Some file systems cannot flush a directory and say so.
  if (failed && error != EINVAL && error != ENOTSUP) refuse("flush the directory", directory);
}

std::string random_suffix() {
  std::random_device device;  // not a random number of training: two processes must differ
  char text[32];
  std::snprintf(text, sizeof text, ".tmp.%08x%08x", device(), device());
  return text;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  descriptor_ = injected() ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) refuse("open", path);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || S_ISDIR(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) errno = EISDIR;
    const int error = errno;
    ::close(descriptor_);
    errno = error;
    refuse("read", path);
  }
  size_ = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

std::size_t InputFile::read(std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        injected() ? -1 : ::read(descriptor_, into.data() + done, std::min(into.size() - done, kMostPerCall));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse("read", path_);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void InputFile::read_exactly(std::span<std::byte> into) {
  if (read(into) < into.size()) throw DataError(cat(path_.string(), ": the file ends too early"));
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  struct stat existing {};
  const bool replaces = ::stat(path.c_str(), &existing) == 0;
  // The rename would put a file in the place of /dev/null itself.
  if (replaces && !S_ISREG(existing.st_mode))
    throw FileError(cat("cannot write ", path.string(), ": not a regular file"));
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts && descriptor_ < 0; ++attempt) {
    temporary_ = path;
    temporary_ += random_suffix();
    if (injected()) break;
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) {
    temporary_.clear();  // not ours to remove
    refuse("create", path);
  }
  // A file that others may not read stays one.
  if (replaces) static_cast<void>(::fchmod(descriptor_, existing.st_mode & 0777));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write_some(descriptor_, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse("write", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  if (injected() || ::fsync(descriptor_) != 0) refuse("flush", path_);
  const int descriptor = std::exchange(descriptor_, -1);
  const bool close_failed = injected();
  if (::close(descriptor) != 0 || close_failed) refuse("close", path_);
  if (injected() || ::rename(temporary_.c_str(), path_.c_str()) != 0) refuse("replace", path_);
  temporary_.clear();
  sync_directory(path_.has_parent_path() ? path_.parent_path() : std::filesystem::path("."));
}

FileFault::FileFault(std::int64_t fail_at, int error) {
  operation_count = 0;
  injected_error = error;
  failing_operation = fail_at;
}

FileFault::~FileFault() {
  failing_operation = 0;
}

std::int64_t FileFault::operations() const {
  return operation_count;
}

}  // namespace gpunn::io
