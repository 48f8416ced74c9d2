// The ranges that gpunn::Trace records. Off, a range costs one load.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "gpunn/export.hpp"

namespace gpunn::trace {

// What a range is about; the views are read when the range ends.
struct Label {
  std::string_view category;  // "step", "phase", "region", "slice", "layer"
  std::string_view name;
  std::string_view detail = {};  // of a layer: its op and who computes it
  double bytes = 0, flops = 0;
};

namespace detail {
GPUNN_API extern std::atomic<bool> recording, to_file;
GPUNN_API std::int64_t now() noexcept;  // nanoseconds
GPUNN_API void end(const Label& label, std::int64_t begun) noexcept;
}  // namespace detail

// Whether the step under way is recorded: then backends run it layer by layer.
inline bool recording() noexcept {
  return detail::recording.load(std::memory_order_relaxed);
}
// ... into a file: then a device is waited for, so that ranges are times.
inline bool to_file() noexcept {
  return detail::to_file.load(std::memory_order_relaxed);
}

// From its construction to its end, on this thread.
class Range {
 public:
  explicit Range(const Label& label) : label_(label), begun_(to_file() ? detail::now() : -1) {}
  ~Range() {
    if (begun_ >= 0) detail::end(label_, begun_);
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Label label_;
  std::int64_t begun_;
};

// Whether at_step(step) is going to open or close the window: what is under way belongs to the other side.
bool changes_at(std::int64_t step) noexcept;

// Before training step `step`: opens and closes the window, and brings the file up to date. Throws nothing: a
// file that cannot be written is Trace::close's affair.
void at_step(std::int64_t step) noexcept;

// What a device's profiler does when the window opens and closes; called from the thread that trains.
using ProfilerHook = void (*)();
GPUNN_API void set_profiler(ProfilerHook start, ProfilerHook stop) noexcept;

}  // namespace gpunn::trace
