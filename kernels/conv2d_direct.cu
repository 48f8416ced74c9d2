#include "kernels/conv2d_direct.hpp"

#include "kernels/conv2d_loaders.cuh"
#include "kernels/dynamic_shared.cuh"
#include "kernels/epilogue.cuh"
#include "kernels/gemm_tile.cuh"

namespace gpunn::kernels {
namespace {

// ---- few taps ---------------------------------------------------------------------------------------

constexpr std::int64_t kFewTaps = 32;
// Weights of all taps of one block's channels stay in shared memory.
constexpr std::int64_t kFewTapsShared = 4096;  // floats

constexpr bool has_few_taps(const ConvGeometry& g) {
  return g.taps() <= kFewTaps && g.taps() * g.out <= kFewTapsShared;
}

// kCount channels of one pixel per thread. Neighbouring lanes make neighbouring channels: x is one address
// for all of them, weights and y are coalesced.
template <int kCount>
__global__ void __launch_bounds__(kThreads, 1)
    conv2d_few_taps_kernel(ConvDevice g, std::int64_t work, Divider lanes, Divider group_lanes,
                           const float* x, const float* w, Epilogue epilogue, float* y) {
  float* weights = dyn_shared<float>();
  const int total = g.height.kernel * g.width.kernel * g.group_in * static_cast<int>(g.out);
  for (int i = static_cast<int>(threadIdx.x); i < total; i += kThreads) weights[i] = w[i];
  __syncthreads();
  for (std::int64_t i = global_thread(); i < work; i += global_threads()) {
    const auto [pixel, lane] = lanes.split(static_cast<std::uint32_t>(i));
    const Pixel window = window_at(g, x + group_lanes.quotient(lane) * g.group_in, pixel);
    const int channel = static_cast<int>(lane) * kCount;
    const float* tap = weights + channel;
    Pack<float, kCount> sums{};
    for (int r = 0; r < g.height.kernel; ++r) {
      const int row = window.row + r * g.height.dilation;
      for (int c = 0; c < g.width.kernel; ++c, tap += g.group_in * g.out) {
        const int column = window.column + c * g.width.dilation;
        if (row < 0 || row >= g.height.in || column < 0 || column >= g.width.in) continue;
        const float* in = window.image + (std::int64_t{row} * g.width.in + column) * g.in;
        for (int k = 0; k < g.group_in; ++k) {
          const auto weight = load<kCount>(tap + k * g.out);
          GPUNN_UNROLL
          for (int j = 0; j < kCount; ++j) sums.v[j] += in[k] * weight.v[j];
        }
      }
    }
    finish(epilogue, y, pixel * g.out + channel, channel, sums);
  }
}

template <int kCount>
void few_taps(Gpu gpu, const ConvGeometry& g, const float* x, const float* w, const Epilogue& epilogue,
              float* y) {
  const std::int64_t work = g.y_pixels() * g.out / kCount;
  require(work < std::int64_t{1} << 31, "conv2d: y is too large");
  LaunchShape shape = for_each_shape(work, gpu.multiprocessors);
  shape.shared_bytes = static_cast<std::size_t>(g.taps() * g.out) * sizeof(float);
  launch(gpu, shape, conv2d_few_taps_kernel<kCount>, device_geometry(g), work, Divider(g.out / kCount),
         Divider(g.group_out() / kCount), x, w, epilogue, y);
}

void require_geometry(const ConvGeometry& g) {
  require(g.groups > 0 && g.in > 0 && g.out > 0 && g.in % g.groups == 0 && g.out % g.groups == 0,
          "conv2d: groups must divide the channels");
  for (const ConvAxis& a : {g.height, g.width}) {
    require(a.kernel > 0 && a.stride > 0 && a.dilation > 0 && a.padding >= 0,
            "conv2d: kernel, stride and dilation must be positive, padding not negative");
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  require(g.x_pixels() < kMost && g.y_pixels() < kMost && g.taps() < kMost &&
              g.height.kernel * g.width.kernel * g.group_out() < kMost,
          "conv2d: pixels and taps must be below 2^31");
}

}  // namespace

std::int64_t conv2d_forward_scratch_floats(const ConvGeometry& g) {
  return has_few_taps(g) ? 0 : gemm_scratch_floats(g.y_pixels(), g.group_out(), g.taps(), g.groups);
}
std::int64_t conv2d_backward_data_scratch_floats(const ConvGeometry& g) {
  return gemm_scratch_floats(g.x_pixels(), g.group_in(), g.height.kernel * g.width.kernel * g.group_out(),
                             g.groups);
}
std::int64_t conv2d_backward_weights_scratch_floats(const ConvGeometry& g, bool bias) {
  return gemm_scratch_floats(g.taps(), g.group_out(), g.y_pixels(), g.groups, bias);
}

void conv2d_forward(Gpu gpu, const ConvGeometry& g, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, float* scratch) {
  require_geometry(g);
  require_epilogue(epilogue);
  if (has_few_taps(g)) {
    const bool wide = g.group_out() % 4 == 0 && packs_of_four(y, epilogue.bias, epilogue.y_before);
    return wide ? few_taps<4>(gpu, g, x, w, epilogue, y) : few_taps<1>(gpu, g, x, w, epilogue, y);
  }
  const GemmSize size{g.y_pixels(), g.group_out(), g.taps(), g.groups};
  gemm_tiled(gpu, size, ImagePatches{device_geometry(g), x}, GroupColumns{w, g.out, g.group_out()},
             StorePixels{epilogue, g.out, g.group_out(), y}, scratch);
}

void conv2d_backward_data(Gpu gpu, const ConvGeometry& g, const float* dy, const float* w,
                          const Epilogue& epilogue, float* dx, float* scratch) {
  require_geometry(g);
  require_epilogue(epilogue);
  const GemmSize size{g.x_pixels(), g.group_in(), g.height.kernel * g.width.kernel * g.group_out(), g.groups};
  const ConvDevice device = device_geometry(g);
  gemm_tiled(gpu, size, OutputPatches{device, Divider(g.height.stride), Divider(g.width.stride), dy},
             BackwardWeights{device, w}, StorePixels{epilogue, g.in, g.group_in(), dx}, scratch);
}

void conv2d_backward_weights(Gpu gpu, const ConvGeometry& g, Accumulate mode, const float* x, const float* dy,
                             float* dw, float* scratch, const ColumnSums& bias) {
  require_geometry(g);
  const GemmSize size{g.taps(), g.group_out(), g.y_pixels(), g.groups};
  gemm_tiled(gpu, size, TransposedPatches{device_geometry(g), x}, GroupColumns{dy, g.out, g.group_out()},
             StoreWeights{g.out, g.group_out(), mode == Accumulate::add, dw, bias}, scratch,
             bias.y != nullptr);
}

}  // namespace gpunn::kernels
