// What a build without cuDNN has in its place.
#include "gpunn/error.hpp"
#include "src/cuda/libraries/convolution.hpp"
#include "src/cuda/libraries/cudnn_handle.hpp"

namespace gpunn::cuda {
namespace {

constexpr const char* kNone = "built without cuDNN";

}  // namespace

cudnnContext* create_cudnn() {
  throw DeviceError(kNone);
}

void destroy_cudnn(cudnnContext*) noexcept {}

std::optional<ConvolutionEngine> find_engine(const Target&, const Convolution&, std::string& why) {
  why = kNone;
  return std::nullopt;
}

std::optional<ConvolutionPlan> ConvolutionPlan::bind(cudnnContext*, const Convolution&,
                                                     const ConvolutionPointers&, bool, void*, std::size_t,
                                                     std::string& why) {
  why = kNone;
  return std::nullopt;
}

void ConvolutionPlan::run(void*) const {}

ConvolutionEngine ConvolutionPlan::engine() const {
  return {};
}

}  // namespace gpunn::cuda
