// What a build without cuDNN has in its place.
#include "gpunn/error.hpp"
#include "src/cuda/libraries/convolution.hpp"
#include "src/cuda/libraries/cudnn_handle.hpp"
#include "src/cuda/libraries/rnn.hpp"

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

bool is_rnn_reproducible(std::string& why) {
  why = kNone;
  return false;
}

std::optional<RnnSizes> find_rnn(const Target&, const Rnn&, std::string& why) {
  why = kNone;
  return std::nullopt;
}

std::optional<RnnPlan> RnnPlan::bind(cudnnContext*, const Rnn&, const RnnSizes&, const std::int32_t*, float*,
                                     std::string& why) {
  why = kNone;
  return std::nullopt;
}

struct RnnPlan::State {
  kernels::RnnWeights weights;
};

const kernels::RnnWeights& RnnPlan::weights() const {
  return state_->weights;
}

void RnnPlan::clear_gaps(void*, float*) const {}
void RnnPlan::forward(void*, const RnnForward&, void*, void*) const {}
void RnnPlan::backward(void*, const RnnBackward&, void*, void*) const {}

}  // namespace gpunn::cuda
