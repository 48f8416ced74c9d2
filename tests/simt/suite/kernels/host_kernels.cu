#include "host_kernels.hpp"

#include "launch.hpp"
#ifdef __SIMT__
#include "simt/simt.hpp"
#endif

namespace {

__global__ void count_down(int* counter, int* sum, cudaGraphConditionalHandle handle) {
  *sum += *counter;
  *counter -= 1;
  cudaGraphSetConditional(handle, *counter != 0);
}

__global__ void trap() {
  if (threadIdx.x == 3) __trap();
}

__global__ void shaped(float* x) {
  if (blockIdx.x == 0 && threadIdx.x == 0) x[0] = 2.0f;
}

__global__ void __launch_bounds__(64) bounded() {}

__global__ void too_much_static(int* out) {
  __shared__ int big[12289];  // one more than 48 KB
  big[threadIdx.x] = 1;
  if (out != nullptr) *out = big[0];
}

__global__ void first_to_fail() {
  __shared__ int arrived;
  if (atomicExch(&arrived, 1) != 1) __trap();
}

}  // namespace

cudaError_t run_count_down(int* counter, int* sum, cudaGraphConditionalHandle handle, cudaStream_t stream) {
  return launch(count_down, 1, 1, 0, stream, counter, sum, handle);
}
cudaError_t run_trap(cudaStream_t stream) {
  return launch(trap, 1, 32, 0, stream);
}
cudaError_t run_shaped(float* x, dim3 grid, dim3 block, std::size_t dynamic_bytes, cudaStream_t stream) {
  return launch(shaped, grid, block, dynamic_bytes, stream, x);
}
cudaError_t allow_dynamic_bytes(int bytes) {
  return cudaFuncSetAttribute(shaped, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}
cudaError_t occupancy_of_shaped(int* blocks, int threads, std::size_t dynamic_bytes,
                                [[maybe_unused]] int registers) {
#ifdef __SIMT__
  simt::set_registers(reinterpret_cast<const void*>(shaped), registers);
#endif
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, shaped, threads, dynamic_bytes);
}
cudaError_t run_bounded(unsigned threads, cudaStream_t stream) {
  return launch(bounded, 1, threads, 0, stream);
}
cudaError_t run_too_much_static(cudaStream_t stream) {
  return launch(too_much_static, 1, 32, 0, stream, static_cast<int*>(nullptr));
}
cudaError_t run_first_to_fail(cudaStream_t stream) {
  return launch(first_to_fail, 1, 64, 0, stream);
}
