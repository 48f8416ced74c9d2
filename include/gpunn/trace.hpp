// Where a step's time goes: the ranges of a run (steps, phases, layers; on the CPU the slices of every
// thread) as a file that Perfetto and chrome://tracing open, and a window of steps for NVIDIA's profilers.
// bench/profiling.md shows both.
#pragma once

#include <cstdint>
#include <filesystem>

#include "gpunn/error.hpp"
#include "gpunn/export.hpp"

namespace gpunn {

struct TraceOptions {
  std::filesystem::path file = {};  // JSON; empty: none
  // Training steps, counted as Model::steps() does: from the first up to, not including, the last. On a CUDA
  // device the profiler's capture is started and stopped with them (cudaProfilerStart, cudaProfilerStop).
  std::int64_t first_step = 0;
  std::int64_t last_step = -1;  // -1: all that follow
};

// Records while it lives. Results do not change, but steps take longer: on a CUDA device every layer is
// queued by itself in place of one captured step, and with a file the host also waits for each, so that its
// range is its time.
//
// The file is valid JSON after every step, whatever ends the program. One Trace at a time: a second throws
// UsageError.
class GPUNN_API Trace {
 public:
  // Throws FileError when the file cannot be written, UsageError for steps that are none.
  explicit Trace(TraceOptions options, SourceLocation where = SourceLocation::current());
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void close();  // ends the recording; throws FileError when something could not be written

 private:
  bool open_ = true;
};

}  // namespace gpunn
