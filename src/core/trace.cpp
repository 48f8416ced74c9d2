#include "src/core/trace.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "gpunn/trace.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace trace {
namespace detail {

std::atomic<bool> recording{false}, to_file{false};

std::int64_t now() noexcept {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace detail

namespace {

constexpr std::string_view kEnd = "\n]}\n";
constexpr std::size_t kFlushBytes = 1 << 20;

int thread_number() noexcept {
  static std::atomic<int> next{0};
  thread_local const int mine = next++;
  return mine;
}

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      to += '\\', to += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      to += code;
    } else {
      to += c;
    }
  }
  to += '"';
}

// The file: a list of events whose end is written after every batch of them and overwritten by the next.
class Recorder {
 public:
  void open(const TraceOptions& options, SourceLocation where) {
    const std::scoped_lock lock(mutex_);
    if (open_) throw UsageError("a Trace is recording already", where);
    if (options.first_step < 0 || (options.last_step >= 0 && options.last_step <= options.first_step))
      throw UsageError(cat("Trace: steps ", options.first_step, " to ", options.last_step, " are none"),
                       where);
    if (!options.file.empty()) {
      file_ = std::fopen(options.file.c_str(), "wb");
      if (file_ == nullptr)
        throw FileError(cat("cannot write ", options.file.string(), ": ", std::strerror(errno)), where);
      failed_ = std::fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [", file_) < 0;
      first_ = true;
      flush();
    }
    options_ = options;
    started_ = detail::now();
    open_ = true;
    if (options.first_step == 0 && options.last_step < 0) set_recording(true);
  }

  // Whether everything was written.
  bool close() {
    set_recording(false);
    const std::scoped_lock lock(mutex_);
    bool good = true;
    if (file_ != nullptr) {
      flush();
      good = std::fclose(file_) == 0 && !failed_;
      file_ = nullptr;
    }
    open_ = false;
    return good;
  }

  bool changes_at(std::int64_t step) const noexcept {
    const bool windowed = options_.first_step > 0 || options_.last_step >= 0;
    return open_ && windowed && is_inside(step) != recording();
  }

  void at_step(std::int64_t step) noexcept {
    if (!open_) return;
    if (changes_at(step)) set_recording(is_inside(step));
    if (!detail::to_file.load()) return;
    const std::scoped_lock lock(mutex_);
    flush();
  }

  void add(const Label& label, std::int64_t begun) noexcept {
    const std::int64_t ended = detail::now();
    const int thread = thread_number();
    const std::scoped_lock lock(mutex_);
    if (file_ == nullptr) return;
    char numbers[160];
    const auto microseconds = [&](std::int64_t nanoseconds) {  // by integers: a locale may write 0,5
      std::snprintf(numbers, sizeof numbers, "%lld.%03lld", static_cast<long long>(nanoseconds / 1000),
                    static_cast<long long>(nanoseconds % 1000));
      text_ += numbers;
    };
    text_ += first_ ? "\n{\"name\": " : ",\n{\"name\": ";
    first_ = false;
    append_quoted(text_, label.name);
    text_ += ", \"cat\": ";
    append_quoted(text_, label.category);
    text_ += cat(", \"ph\": \"X\", \"pid\": 1, \"tid\": ", thread, ", \"ts\": ");
    microseconds(begun - started_);
    text_ += ", \"dur\": ";
    microseconds(ended - begun);
    if (!label.detail.empty()) {
      text_ += ", \"args\": {\"op\": ";
      append_quoted(text_, label.detail);
      std::snprintf(numbers, sizeof numbers, ", \"bytes\": %.0f, \"flops\": %.0f}", label.bytes, label.flops);
      text_ += numbers;
    }
    text_ += '}';
    if (text_.size() > kFlushBytes) flush();
  }

  void set_profiler(ProfilerHook start, ProfilerHook stop) noexcept { start_ = start, stop_ = stop; }

 private:
  bool is_inside(std::int64_t step) const noexcept {
    return step >= options_.first_step && (options_.last_step < 0 || step < options_.last_step);
  }

  void set_recording(bool on) noexcept {
    if (on == detail::recording.load()) return;
    const ProfilerHook hook = on ? start_.load() : stop_.load();
    if (on && hook != nullptr) hook();
    detail::to_file.store(on && file_ != nullptr);
    detail::recording.store(on);
    if (!on && hook != nullptr) hook();
  }

  void flush() noexcept {
    text_ += kEnd;
    failed_ |= std::fwrite(text_.data(), 1, text_.size(), file_) != text_.size() || std::fflush(file_) != 0 ||
               std::fseek(file_, -static_cast<long>(kEnd.size()), SEEK_CUR) != 0;
    text_.clear();
  }

  std::mutex mutex_;
  std::string text_;  // events not yet written
  std::FILE* file_ = nullptr;
  bool first_ = true, failed_ = false;
  std::atomic<bool> open_{false};
  TraceOptions options_;
  std::int64_t started_ = 0;
  std::atomic<ProfilerHook> start_{nullptr}, stop_{nullptr};
};

Recorder& recorder() {
  static Recorder& made = *new Recorder;  // never destroyed: threads may end their ranges late
  return made;
}

}  // namespace

void detail::end(const Label& label, std::int64_t begun) noexcept {
  recorder().add(label, begun);
}

bool changes_at(std::int64_t step) noexcept {
  return recorder().changes_at(step);
}

void at_step(std::int64_t step) noexcept {
  recorder().at_step(step);
}

void set_profiler(ProfilerHook start, ProfilerHook stop) noexcept {
  recorder().set_profiler(start, stop);
}

}  // namespace trace

Trace::Trace(TraceOptions options, SourceLocation where) {
  trace::recorder().open(options, where);
}

Trace::~Trace() {
  if (open_) static_cast<void>(trace::recorder().close());
}

void Trace::close() {
  if (!std::exchange(open_, false)) return;
  if (!trace::recorder().close()) throw FileError("the trace could not be written to its end");
}

}  // namespace gpunn
