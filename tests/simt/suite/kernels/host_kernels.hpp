// Kernels for the tests of the runtime.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

// sum += counter; counter -= 1; the condition is counter != 0.
cudaError_t run_count_down(int* counter, int* sum, cudaGraphConditionalHandle handle, cudaStream_t stream);
cudaError_t run_trap(cudaStream_t stream);
cudaError_t run_shaped(float* x, dim3 grid, dim3 block, std::size_t dynamic_bytes, cudaStream_t stream);
cudaError_t allow_dynamic_bytes(int bytes);  // for run_shaped's kernel
cudaError_t occupancy_of_shaped(int* blocks, int threads, std::size_t dynamic_bytes, int registers);
cudaError_t run_bounded(unsigned threads, cudaStream_t stream);  // __launch_bounds__(64)
cudaError_t run_too_much_static(cudaStream_t stream);
cudaError_t run_first_to_fail(cudaStream_t stream);  // the thread that comes first makes the report
