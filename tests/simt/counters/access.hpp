// Access patterns whose cost the hardware manuals state.
#pragma once

#include <cuda_runtime.h>

// y[i] = x[stride * i + offset], one warp.
cudaError_t run_strided(const float* x, float* y, int stride, int offset, cudaStream_t stream);
cudaError_t run_vectors(const float4* x, float4* y, cudaStream_t stream);
// Lane i reads and writes word stride * i of shared memory.
cudaError_t run_banks(int stride, float* out, cudaStream_t stream);
cudaError_t run_bank_vectors(float4* out, cudaStream_t stream);
// A transpose of 32x32 through a tile with `pad` extra columns.
cudaError_t run_transpose(int pad, const float* x, float* y, cudaStream_t stream);
cudaError_t run_collectives(int* out, cudaStream_t stream);
