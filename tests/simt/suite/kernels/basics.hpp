// Kernels that exercise one word of the device vocabulary each.
#pragma once

#include <cuda_runtime.h>

cudaError_t run_axpy(const float* x, float* y, float a, int n, cudaStream_t stream);
cudaError_t run_reverse_block(const int* in, int* out, int threads, cudaStream_t stream);
// out[10 * lane + k]: the k-th kind of shuffle, with sub-warps of `width` lanes.
cudaError_t run_shuffles(int* out, int width, cudaStream_t stream);
cudaError_t run_votes(unsigned* out, cudaStream_t stream);
cudaError_t run_atomics(int* ints, float* floats, double* doubles, unsigned* unsigneds, cudaStream_t stream);
cudaError_t run_barriers(int blocks, int threads, int count, int* out, cudaStream_t stream);
cudaError_t run_barrier_reductions(int* out, cudaStream_t stream);
cudaError_t run_fresh_memory(float* global, float* out, cudaStream_t stream);
