#include "kernels/activation.hpp"

#include "kernels/map.cuh"

namespace gpunn::kernels {
namespace {

template <class Act>
struct Forward {
  GPUNN_HD float operator()(float x) const { return Act::value(x); }
};

template <class Act>
struct Backward {
  GPUNN_HD float operator()(float kept, float dy) const { return Act::slope(kept) * dy; }
};

}  // namespace

void activation_forward(Gpu gpu, Activation kind, std::int64_t n, const float* x, float* y) {
  with_activation(kind,
                  [&](auto act) { map(gpu, Accumulate::overwrite, n, Forward<decltype(act)>{}, y, x); });
}

void activation_backward(Gpu gpu, Activation kind, Accumulate mode, std::int64_t n, const float* kept,
                         const float* dy, float* dx) {
  with_activation(kind, [&](auto act) { map(gpu, mode, n, Backward<decltype(act)>{}, dx, kept, dy); });
}

}  // namespace gpunn::kernels
