#include "launch.hpp"
#include "patterns.hpp"

namespace {

constexpr int kThreads = 64;

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0xffffffffu, v, offset);
  return v;
}

// Tree in shared memory down to a warp, which finishes by shuffles or by shared memory with __syncwarp.
template <Fault fault>
__global__ void __launch_bounds__(kThreads) reduce_block(const float* x, float* sum, int n) {
  __shared__ float tile[kThreads];
  const int t = static_cast<int>(threadIdx.x);
  float v = 0.0f;
  for (int i = t; fault == Fault::global_read_overrun ? i <= n : i < n; i += kThreads) v += x[i];
  tile[fault == Fault::shared_overrun ? t + 1 : t] = v;
  if constexpr (fault == Fault::early_return) {
    if (t >= n) return;
  }
  if constexpr (fault == Fault::divergent_barrier) {
    if (t < kThreads / 2) __syncthreads();
  } else if constexpr (fault == Fault::barrier_per_branch) {
    if (t % 2 == 0) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else if constexpr (fault == Fault::barrier_and_shuffle) {
    if (t < 32) {
      v = warp_sum(v);
    } else {
      __syncthreads();
    }
    __syncwarp();
  } else if constexpr (fault != Fault::no_barrier) {
    __syncthreads();
  }
  if (t < 32) {
    tile[t] += tile[t + 32];
    if constexpr (fault == Fault::no_syncwarp) {
      for (int offset = 16; offset > 0; offset /= 2) {
        if (t < offset) tile[t] += tile[t + offset];
      }
      v = tile[0];
    } else {
      __syncwarp();
      v = tile[t];
      if constexpr (fault == Fault::narrow_mask) {
        for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0x0000ffffu, v, offset);
      } else if constexpr (fault == Fault::absent_lane) {
        if (t < 16) v += __shfl_down_sync(0x0000ffffu, v, 8);
        v += __shfl_xor_sync(t < 16 ? 0x0000ffffu : 0xffff0000u, v, 16);
      } else if constexpr (fault == Fault::mixed_collectives) {
        if (t < 16) {
          v = __shfl_sync(0xffffffffu, v, 0);
        } else {
          v = static_cast<float>(__ballot_sync(0xffffffffu, 1));
        }
      } else {
        v = warp_sum(v);
      }
    }
    if (t == 0) *sum = v;
  }
}

// Every block sums a part; the block that comes last sums the parts.
template <Fault fault>
__global__ void __launch_bounds__(256)
    reduce_parts(const float* x, float* partial, unsigned* done, float* sum, int n) {
  __shared__ bool last;
  const int t = static_cast<int>(threadIdx.x), blocks = static_cast<int>(gridDim.x);
  float v = 0.0f;
  const int end = t < 32 ? n : 0;  // more threads only come to the barrier
  for (int i = static_cast<int>(blockIdx.x) * 32 + t; i < end; i += 32 * blocks) v += x[i];
  v = warp_sum(v);
  if (t == 0) {
    partial[blockIdx.x] = v;
    if constexpr (fault != Fault::no_fence && fault != Fault::no_fence_wide) __threadfence();
    if constexpr (fault == Fault::plain_global_update) {
      last = ++*done == gridDim.x;
    } else {
      last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  v = 0.0f;
  if (t < 32) {
    for (int i = t; i < blocks; i += 32) v += partial[i];
  }
  v = warp_sum(v);
  if (t == 0) *sum = v;
}

// Hillis and Steele, with two buffers in turn.
template <Fault fault>
__global__ void scan_block(const float* x, float* y, int n) {
  float* buffer = dyn_shared<float>();
  const int t = static_cast<int>(threadIdx.x);
  int from = 0;
  buffer[fault == Fault::dynamic_overrun ? t + n + 1 : t] = x[t];
  __syncthreads();
  for (int offset = 1; offset < n; offset *= 2) {
    const float left = t >= offset ? buffer[from * n + t - offset] : 0.0f;
    const float v = buffer[from * n + t] + left;
    if constexpr (fault != Fault::no_second_barrier)
      from = 1 - from;  // else the buffer being read is written
    buffer[from * n + t] = v;
    if constexpr (fault != Fault::no_barrier) __syncthreads();
  }
  y[t] = buffer[from * n + t];
}

template <Fault fault>
__global__ void __launch_bounds__(64) histogram_blocks(const unsigned char* x, int n, int* bins) {
  __shared__ int mine[patterns::kBins];
  const int t = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x * gridDim.x);
  if constexpr (fault != Fault::no_zeroing) {
    for (int i = t; i < patterns::kBins; i += static_cast<int>(blockDim.x)) mine[i] = 0;
  }
  __syncthreads();
  for (int i = static_cast<int>(blockIdx.x * blockDim.x) + t; i < n; i += step) {
    if constexpr (fault == Fault::plain_shared_update) {
      ++mine[x[i]];
    } else {
      atomicAdd(&mine[x[i]], 1);
    }
  }
  __syncthreads();
  for (int i = t; i < patterns::kBins; i += static_cast<int>(blockDim.x)) {
    if constexpr (fault == Fault::plain_global_update) {
      bins[i] += mine[i];
    } else {
      atomicAdd(&bins[i], mine[i]);
    }
  }
}

}  // namespace

// One instantiation per fault that a kernel knows.
#define CASE(kernel, name, ...) \
  case Fault::name:             \
    return launch(kernel<Fault::name>, __VA_ARGS__)

namespace patterns {

cudaError_t reduce(Fault fault, const float* x, float* sum, int n, cudaStream_t stream) {
  switch (fault) {
    CASE(reduce_block, none, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, no_barrier, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, no_syncwarp, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, divergent_barrier, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, barrier_per_branch, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, barrier_and_shuffle, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, early_return, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, narrow_mask, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, absent_lane, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, mixed_collectives, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, shared_overrun, 1, kThreads, 0, stream, x, sum, n);
    CASE(reduce_block, global_read_overrun, 1, kThreads, 0, stream, x, sum, n);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t reduce_last_block(Fault fault, const float* x, float* partial, unsigned* done, float* sum, int n,
                              cudaStream_t stream) {
  switch (fault) {
    CASE(reduce_parts, none, 4, 32, 0, stream, x, partial, done, sum, n);
    CASE(reduce_parts, no_fence, 4, 32, 0, stream, x, partial, done, sum, n);
    CASE(reduce_parts, no_fence_wide, 4, 256, 0, stream, x, partial, done, sum, n);
    CASE(reduce_parts, plain_global_update, 4, 32, 0, stream, x, partial, done, sum, n);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t scan(Fault fault, const float* x, float* y, int n, cudaStream_t stream) {
  const std::size_t bytes = 2 * sizeof(float) * static_cast<std::size_t>(n);
  switch (fault) {
    CASE(scan_block, none, 1, n, bytes, stream, x, y, n);
    CASE(scan_block, no_barrier, 1, n, bytes, stream, x, y, n);
    CASE(scan_block, no_second_barrier, 1, n, bytes, stream, x, y, n);
    CASE(scan_block, dynamic_overrun, 1, n, bytes, stream, x, y, n);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t histogram(Fault fault, const unsigned char* x, int n, int* bins, cudaStream_t stream) {
  switch (fault) {
    CASE(histogram_blocks, none, 3, 64, 0, stream, x, n, bins);
    CASE(histogram_blocks, no_zeroing, 3, 64, 0, stream, x, n, bins);
    CASE(histogram_blocks, plain_shared_update, 3, 64, 0, stream, x, n, bins);
    CASE(histogram_blocks, plain_global_update, 3, 64, 0, stream, x, n, bins);
    default:
      return cudaErrorNotSupported;
  }
}

}  // namespace patterns
