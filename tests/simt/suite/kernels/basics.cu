#include "basics.hpp"

#include "launch.hpp"

namespace {

__global__ void __launch_bounds__(256) axpy(const float* x, float* y, float a, int n) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n;
       i += static_cast<int>(blockDim.x * gridDim.x)) {
    y[i] += a * x[i];
  }
}

__global__ void reverse_block(const int* in, int* out) {
  int* tile = dyn_shared<int>();
  const unsigned i = threadIdx.x;
  tile[i] = in[i];
  __syncthreads();
  out[i] = tile[blockDim.x - 1 - i];
}

__global__ void shuffles(int* out, int width) {
  const unsigned all = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x);
  int* mine = out + 10 * lane;
  mine[0] = __shfl_sync(all, lane, 5, width);
  mine[1] = __shfl_sync(all, lane, lane + 1, width);
  mine[2] = __shfl_up_sync(all, lane, 3, width);
  mine[3] = __shfl_down_sync(all, lane, 3, width);
  mine[4] = __shfl_xor_sync(all, lane, 1, width);
  mine[5] = __shfl_xor_sync(all, lane, 16, width);
  mine[6] = __shfl_sync(all, lane, -1, width);
  mine[7] = static_cast<int>(__shfl_down_sync(all, 2.0 * lane, 1, width));  // 8 bytes
  mine[8] = __shfl_up_sync(all, lane, 40, width);
  // Half of the warp on its own.
  mine[9] = lane < 16 ? __shfl_sync(0x0000ffffu, lane, 15, 16) : __shfl_sync(0xffff0000u, lane, 0, 16);
}

__global__ void votes(unsigned* out) {
  const unsigned all = 0xffffffffu, lane = threadIdx.x;
  const unsigned ballot = __ballot_sync(all, lane % 3 == 0);
  const int any = __any_sync(all, lane == 31), none = __any_sync(all, lane > 31);
  const int every = __all_sync(all, lane < 32), not_every = __all_sync(all, lane < 31);
  const unsigned match = __match_any_sync(all, lane / 8);
  int same = 0, different = 0;
  const unsigned match_same = __match_all_sync(all, 7, &same);
  const unsigned match_different = __match_all_sync(all, lane, &different);
  const unsigned sum = __reduce_add_sync(all, lane), largest = __reduce_max_sync(all, lane ^ 5u);
  const unsigned active = __activemask();
  if (lane == 9) {
    const unsigned results[] = {ballot, unsigned(any), unsigned(none), unsigned(every), unsigned(not_every),
                                match,  match_same,    unsigned(same), match_different, unsigned(different),
                                sum,    largest,       active >> 9 & 1};
    for (int i = 0; i < 13; ++i) out[i] = results[i];
  }
}

__global__ void atomics(int* ints, float* floats, double* doubles, unsigned* unsigneds) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&ints[0], i);
  atomicSub(&ints[1], 1);
  atomicMax(&ints[2], i);
  atomicMin(&ints[3], -i);
  atomicExch(&ints[4], 77);
  atomicCAS(&ints[5], 0, 5);
  atomicAdd(&floats[0], 0.5f);
  atomicAdd(&doubles[0], 0.25);
  atomicAnd(&unsigneds[0], ~(1u << (i % 32)));
  atomicOr(&unsigneds[1], 1u << (i % 32));
  atomicXor(&unsigneds[2], 1u);
  atomicInc(&unsigneds[3], 6);
  atomicDec(&unsigneds[4], 9);
}

__global__ void barriers(int count, int* out) {
  for (int i = 0; i < count; ++i) __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = count;
}

__global__ void barrier_reductions(int* out) {
  const int count = __syncthreads_count(threadIdx.x % 3 == 0);
  const int all = __syncthreads_and(threadIdx.x < 100), any = __syncthreads_or(threadIdx.x == 5);
  const int none = __syncthreads_or(threadIdx.x == 500);
  if (threadIdx.x == 17) out[0] = count, out[1] = all, out[2] = any, out[3] = none;
}

template <class T>
__global__ void fresh_memory(const T* global, T* out) {
  __shared__ T tile[32];
  T* dynamic = dyn_shared<T>();
  out[3 * blockIdx.x] = global[0];
  out[3 * blockIdx.x + 1] = tile[3];
  out[3 * blockIdx.x + 2] = dynamic[2];
  tile[3] = dynamic[2] = T(1);  // the next block must not see it
}

}  // namespace

cudaError_t run_axpy(const float* x, float* y, float a, int n, cudaStream_t stream) {
  return launch(axpy, 2, 64, 0, stream, x, y, a, n);
}
cudaError_t run_reverse_block(const int* in, int* out, int threads, cudaStream_t stream) {
  return launch(reverse_block, 1, threads, threads * sizeof(int), stream, in, out);
}
cudaError_t run_shuffles(int* out, int width, cudaStream_t stream) {
  return launch(shuffles, 1, 32, 0, stream, out, width);
}
cudaError_t run_votes(unsigned* out, cudaStream_t stream) {
  return launch(votes, 1, 32, 0, stream, out);
}
cudaError_t run_atomics(int* ints, float* floats, double* doubles, unsigned* unsigneds, cudaStream_t stream) {
  return launch(atomics, 2, 64, 0, stream, ints, floats, doubles, unsigneds);
}
cudaError_t run_barriers(int blocks, int threads, int count, int* out, cudaStream_t stream) {
  return launch(barriers, blocks, threads, 0, stream, count, out);
}
cudaError_t run_barrier_reductions(int* out, cudaStream_t stream) {
  return launch(barrier_reductions, 1, 100, 0, stream, out);
}
cudaError_t run_fresh_memory(float* global, float* out, cudaStream_t stream) {
  return launch(fresh_memory<float>, 2, 1, 16, stream, global, out);
}
