// y[i] = op(x0[i], x1[i], ...): the loop of every elementwise kernel, four elements at a time where alignment
// permits.
#pragma once

#include <cuda_runtime.h>

#include "kernels/launch.cuh"
#include "kernels/vector.cuh"

namespace gpunn::kernels {

template <Accumulate mode, class Op, class... X>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    map_kernel(std::int64_t n, bool wide, Op op, float* y, X... x) {
  const std::int64_t packs = wide ? n / 4 : 0;
  for (std::int64_t i = global_thread(); i < packs; i += global_threads()) {
    Pack<float, 4> out = mode == Accumulate::add ? load<4>(y + 4 * i) : Pack<float, 4>{};
    const auto apply = [&](const auto&... in) {
      for (int k = 0; k < 4; ++k)
        out.v[k] = mode == Accumulate::add ? out.v[k] + op(in.v[k]...) : op(in.v[k]...);
    };
    apply(load<4>(x + 4 * i)...);
    store(y + 4 * i, out);
  }
  for (std::int64_t i = 4 * packs + global_thread(); i < n; i += global_threads()) {
    const float value = op(x[i]...);
    y[i] = mode == Accumulate::add ? y[i] + value : value;
  }
}

// `op` is called once per element. y may be one of the x.
template <class Op, class... X>
void map(On on, Accumulate mode, std::int64_t n, Op op, float* y, const X*... x) {
  const bool wide = packs_of_four(y, x...);
  const LaunchShape shape = for_each_shape(wide ? ceil_div(n, 4) : n, on.gpu.multiprocessors);
  with_mode(mode, [&](auto m) { launch(on, shape, map_kernel<m(), Op, const X*...>, n, wide, op, y, x...); });
}

}  // namespace gpunn::kernels
