#include "access.hpp"

#include "kernels/launch.hpp"

namespace {

__global__ void strided(const float* x, float* y, int stride, int offset) {
  const int i = static_cast<int>(threadIdx.x);
  y[i] = x[stride * i + offset];
}

__global__ void vectors(const float4* x, float4* y) {
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void banks(int stride, float* out) {
  float* words = dyn_shared<float>();
  const int i = static_cast<int>(threadIdx.x);
  words[stride * i] = 1.0f;
  out[i] = words[stride * i];
}

__global__ void bank_vectors(float4* out) {
  __shared__ float4 words[32];
  const float4 v{1, 2, 3, 4};
  words[threadIdx.x] = v;
  out[threadIdx.x] = words[threadIdx.x];
}

template <int pad>
__global__ void transpose(const float* x, float* y) {
  __shared__ float tile[32][32 + pad];
  const int c = static_cast<int>(threadIdx.x);
  for (int r = 0; r < 32; ++r) tile[r][c] = x[32 * r + c];
  __syncthreads();
  for (int r = 0; r < 32; ++r) y[32 * r + c] = tile[c][r];
}

__global__ void collectives(int* out) {
  int v = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 3; ++i) v = __shfl_xor_sync(0xffffffffu, v, 1);
  __syncwarp();
  __syncthreads();
  __syncthreads();
  atomicAdd(out, v);
}

}  // namespace

cudaError_t run_strided(const float* x, float* y, int stride, int offset, cudaStream_t stream) {
  return launch(strided, 1, 32, 0, stream, x, y, stride, offset);
}
cudaError_t run_vectors(const float4* x, float4* y, cudaStream_t stream) {
  return launch(vectors, 1, 32, 0, stream, x, y);
}
cudaError_t run_banks(int stride, float* out, cudaStream_t stream) {
  return launch(banks, 1, 32, sizeof(float) * 32 * 33, stream, stride, out);
}
cudaError_t run_bank_vectors(float4* out, cudaStream_t stream) {
  return launch(bank_vectors, 1, 32, 0, stream, out);
}
cudaError_t run_transpose(int pad, const float* x, float* y, cudaStream_t stream) {
  return pad == 0 ? launch(transpose<0>, 1, 32, 0, stream, x, y)
                  : launch(transpose<1>, 1, 32, 0, stream, x, y);
}
cudaError_t run_collectives(int* out, cudaStream_t stream) {
  return launch(collectives, 2, 64, 0, stream, out);
}
