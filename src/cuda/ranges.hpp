// Ranges of the executor: in the trace file, and in the NVTX domain "gpunn" for Nsight, with bytes and FLOPs
// as payload. With no tool attached an NVTX range is two tests of a pointer.
#pragma once

#include "src/core/trace.hpp"

namespace gpunn::cuda {

class Range {
 public:
  explicit Range(const trace::Label& label);
  ~Range();
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  trace::Range range_;
};

// Lets the window of a gpunn::Trace start and stop the profiler's capture.
void connect_profiler();

}  // namespace gpunn::cuda
