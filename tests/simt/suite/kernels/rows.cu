#include <cassert>

#include "launch.hpp"
#include "patterns.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // one of the planted faults
#endif
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wuninitialized"
#endif

namespace {

constexpr int kThreads = 64;

template <class Op>
__device__ float warp_all(float v, Op op) {
  for (int offset = 16; offset > 0; offset /= 2) v = op(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// Over the block; every thread gets the result. `again` is the barrier before the shared memory may be used
// again.
template <class Op>
__device__ float block_all(float v, Op op, float* shared, bool again) {
  v = warp_all(v, op);
  if (again) __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  float result = shared[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) result = op(result, shared[warp]);
  return result;
}

constexpr int row_threads(Fault fault) {
  return fault == Fault::no_barrier_wide ? 256 : kThreads;
}

// One block per row.
template <Fault fault>
__global__ void __launch_bounds__(row_threads(fault)) softmax_rows(const float* x, float* y, int cols) {
  constexpr int kStep = row_threads(fault);
  constexpr bool kAgain = fault != Fault::no_second_barrier && fault != Fault::no_barrier_wide;
  __shared__ float shared[kStep / 32];
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(cols);
  float most = -INFINITY, sum = 0.0f, unset;
  for (int i = static_cast<int>(threadIdx.x); i < cols; i += kStep) most = fmaxf(most, x[row + i]);
  most = block_all(most, Max{}, shared, false);
  for (int i = static_cast<int>(threadIdx.x); i < cols; i += kStep) sum += __expf(x[row + i] - most);
  sum = block_all(sum, Sum{}, shared, kAgain);
  if (fault == Fault::fresh_local) sum += unset;
  for (int i = static_cast<int>(threadIdx.x); i < cols; i += kStep) {
    y[row + i] = __expf(x[row + i] - most) / sum;
  }
}

template <Fault fault>
__global__ void __launch_bounds__(kThreads) stencil_line(const float* x, float* y, int n) {
  constexpr int kHalo = 2;
  __shared__ float tile[kThreads + 2 * kHalo];
  const int t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x) * kThreads + t;
  const auto at = [&](int k) { return k >= 0 && k < n ? x[k] : 0.0f; };
  tile[t + kHalo] = at(i);
  if (t < kHalo) {
    tile[t] = at(i - kHalo);
    tile[t + kHalo + kThreads] = at(i + kThreads);
  }
  if constexpr (fault != Fault::no_barrier) __syncthreads();
  float window[5];
  for (int k = 0; k < 5; ++k) window[k] = tile[t + k];
  float sum = 0.0f;
  for (int k = 0; k < (fault == Fault::array_bounds ? n : 5); ++k) sum += window[k];
  if constexpr (fault == Fault::global_write_overrun) {
    if (i <= n) y[i] = sum;
  } else if constexpr (fault == Fault::write_before_begin) {
    if (i < n) y[i - 1] = sum;
  } else if constexpr (fault == Fault::block_race) {
    if (i < n) y[i] = sum;
    if (t == kThreads - 1 && i + 1 < n) y[i + 1] = sum;
  } else if constexpr (fault == Fault::index_overflow) {
    const int bytes = n * 20000000;
    if (i < n && bytes != 0) y[i] = sum;
  } else if constexpr (fault == Fault::fresh_global) {
    if (i < n) y[i] += sum;
  } else if constexpr (fault == Fault::device_assert) {
    assert(i < n);
    y[i] = sum;
  } else {
    if (i < n) y[i] = sum;
  }
}

// Bitonic, in shared memory.
template <Fault fault>
__global__ void sort_block(float* x, int n) {
  float* keys = dyn_shared<float>();
  const int t = static_cast<int>(threadIdx.x);
  keys[t] = x[t];
  __syncthreads();
  for (int size = 2; size <= n; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      const int other = t ^ stride;
      if (other > t && (keys[t] > keys[other]) == ((t & size) == 0)) {
        const float swap = keys[t];
        keys[t] = keys[other];
        keys[other] = swap;
      }
      if constexpr (fault != Fault::no_barrier) __syncthreads();
    }
  }
  x[t] = keys[t];
}

// h[s + 1] = tanh(u h[s] + x[s]) for a whole sequence in one launch: a unit per thread, one barrier per step.
template <Fault fault>
__global__ void __launch_bounds__(patterns::kHidden)
    recurrence_sequence(const float* u, const float* x, float* h, int steps) {
  constexpr int kHidden = patterns::kHidden;
  __shared__ float state[2][kHidden];
  const int t = static_cast<int>(threadIdx.x);
  float weights[kHidden];
  for (int i = 0; i < kHidden; ++i) weights[i] = u[t * kHidden + i];
  state[0][t] = 0.0f;
  __syncthreads();
  for (int s = 0; s < steps; ++s) {
    const int now = s % 2, next = fault == Fault::no_second_barrier ? now : 1 - now;
    float sum = x[s * kHidden + t];
    for (int i = 0; i < kHidden; ++i) sum += weights[i] * state[now][i];
    state[next][t] = tanhf(sum);
    h[s * kHidden + t] = state[next][t];
    if (fault == Fault::no_second_barrier) state[1 - now][t] = state[next][t];
    if constexpr (fault != Fault::no_barrier) __syncthreads();
  }
}

// Four at a time; the launcher promises alignment, the fault breaks the promise.
template <Fault fault>
__global__ void __launch_bounds__(kThreads) scale_vectors(const float* x, float* y, float factor, int n) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const auto* from = reinterpret_cast<const float4*>(fault == Fault::misaligned_vector ? x + 1 : x);
  if (i >= (n - (fault == Fault::misaligned_vector ? 1 : 0)) / 4) return;
  float4 v = from[i];
  v.x *= factor, v.y *= factor, v.z *= factor, v.w *= factor;
  if (fault == Fault::lucky_tolerance) v.x = __expf(__logf(v.x * v.x + 1.0f)) - 1.0f - v.x * v.x;
  reinterpret_cast<float4*>(y)[i] = v;
}

unsigned blocks(int n) {
  return static_cast<unsigned>((n + kThreads - 1) / kThreads);
}

}  // namespace

#define CASE(kernel, name, ...) \
  case Fault::name:             \
    return launch(kernel<Fault::name>, __VA_ARGS__)

namespace patterns {

cudaError_t softmax(Fault fault, const float* x, float* y, int rows, int cols, cudaStream_t stream) {
  switch (fault) {
    CASE(softmax_rows, none, rows, kThreads, 0, stream, x, y, cols);
    CASE(softmax_rows, no_second_barrier, rows, kThreads, 0, stream, x, y, cols);
    CASE(softmax_rows, no_barrier_wide, rows, 256, 0, stream, x, y, cols);
    CASE(softmax_rows, fresh_local, rows, kThreads, 0, stream, x, y, cols);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t stencil(Fault fault, const float* x, float* y, int n, cudaStream_t stream) {
  switch (fault) {
    CASE(stencil_line, none, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, no_barrier, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, array_bounds, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, global_write_overrun, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, write_before_begin, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, block_race, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, index_overflow, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, fresh_global, blocks(n), kThreads, 0, stream, x, y, n);
    CASE(stencil_line, device_assert, blocks(n), kThreads, 0, stream, x, y, n);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t sort(Fault fault, float* x, int n, cudaStream_t stream) {
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(n);
  switch (fault) {
    CASE(sort_block, none, 1, n, bytes, stream, x, n);
    CASE(sort_block, no_barrier, 1, n, bytes, stream, x, n);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t recurrence(Fault fault, const float* u, const float* x, float* h, int steps,
                       cudaStream_t stream) {
  switch (fault) {
    CASE(recurrence_sequence, none, 1, kHidden, 0, stream, u, x, h, steps);
    CASE(recurrence_sequence, no_barrier, 1, kHidden, 0, stream, u, x, h, steps);
    CASE(recurrence_sequence, no_second_barrier, 1, kHidden, 0, stream, u, x, h, steps);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t scale4(Fault fault, const float* x, float* y, float factor, int n, cudaStream_t stream) {
  switch (fault) {
    CASE(scale_vectors, none, blocks(n / 4), kThreads, 0, stream, x, y, factor, n);
    CASE(scale_vectors, misaligned_vector, blocks(n / 4), kThreads, 0, stream, x, y, factor, n);
    CASE(scale_vectors, lucky_tolerance, blocks(n / 4), kThreads, 0, stream, x, y, factor, n);
    default:
      return cudaErrorNotSupported;
  }
}

}  // namespace patterns
