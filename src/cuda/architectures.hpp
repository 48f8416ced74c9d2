// Which GPUs the device code of a build runs on.
#pragma once

#include <string>
#include <string_view>

namespace gpunn::cuda {

// `compiled` is what CMAKE_CUDA_ARCHITECTURES was, with spaces: "80-real 90 100-virtual". Machine code
// ("-real", or neither) runs on devices of its major version from its minor one on, or, with a letter behind
// the number, on that very one; PTX ("-virtual", or neither) on every later device. CUDA C++ Programming
// Guide, "Binary Compatibility". A list that is told in words ("native", "all") is taken to fit.
bool runs_on(std::string_view compiled, int major, int minor);

// Empty, or why the build cannot use the device, with what to do about it.
std::string why_not_on(std::string_view compiled, std::string_view device, int major, int minor);

}  // namespace gpunn::cuda
