// The field's textbook kernels, each right and with faults planted in it.
#pragma once

#include <cuda_runtime.h>

// What is wrong with a kernel. Each kernel knows some of them; `none` is the right one.
enum class Fault {
  none,
  no_barrier,           // between writing and reading shared memory
  no_second_barrier,    // before the memory is written again
  no_barrier_wide,      // the same in blocks of 256 threads
  no_syncwarp,          // lanes hand over data as if in lockstep
  divergent_barrier,    // inside a branch that not every thread takes
  barrier_per_branch,   // one in the if, another in the else
  early_return,         // before a barrier
  barrier_and_shuffle,  // some threads at a barrier, the others at a warp collective
  narrow_mask,          // a mask without some of the calling lanes
  absent_lane,          // a shuffle that reads from outside its mask
  mixed_collectives,    // lanes of one mask at different collectives
  shared_overrun,       // a static shared array, by one
  dynamic_overrun,      // dynamic shared memory, by one
  global_read_overrun,  // by one element
  global_write_overrun,
  write_before_begin,
  misaligned_vector,    // float4 at a 4-byte offset
  index_overflow,       // 32-bit arithmetic
  array_bounds,         // a local array
  no_zeroing,           // shared memory taken for zero
  fresh_global,         // device memory taken for zero
  fresh_local,          // a local variable never set
  plain_shared_update,  // in place of a shared atomic
  plain_global_update,  // in place of an atomic between blocks
  no_fence,             // before the last block reads
  no_fence_wide,        // the same in blocks of 256 threads
  block_race,           // neighbouring blocks write one element
  swapped_index,        // thread for block index
  wrong_compare,        // <= for <
  lucky_tolerance,      // a result that is right only if __expf is exact
  device_assert,
};

namespace patterns {

cudaError_t reduce(Fault fault, const float* x, float* sum, int n, cudaStream_t stream);  // one block
cudaError_t reduce_last_block(Fault fault, const float* x, float* partial, unsigned* done, float* sum, int n,
                              cudaStream_t stream);
cudaError_t scan(Fault fault, const float* x, float* y, int n, cudaStream_t stream);  // n <= 128
cudaError_t transpose(Fault fault, const float* x, float* y, int rows, int cols, cudaStream_t stream);
cudaError_t gemm(Fault fault, const float* a, const float* b, float* c, int m, int n, int k,
                 cudaStream_t stream);
cudaError_t histogram(Fault fault, const unsigned char* x, int n, int* bins, cudaStream_t stream);  // 64 bins
cudaError_t softmax(Fault fault, const float* x, float* y, int rows, int cols, cudaStream_t stream);
cudaError_t stencil(Fault fault, const float* x, float* y, int n, cudaStream_t stream);
cudaError_t sort(Fault fault, float* x, int n, cudaStream_t stream);  // a power of two
cudaError_t recurrence(Fault fault, const float* u, const float* x, float* h, int steps, cudaStream_t stream);
cudaError_t wmma_gemm(Fault fault, const void* a, const void* b, float* c, int m, int n, int k,
                      cudaStream_t stream);
cudaError_t scale4(Fault fault, const float* x, float* y, float factor, int n, cudaStream_t stream);

inline constexpr int kHidden = 32;  // of the recurrence
inline constexpr int kBins = 64;

}  // namespace patterns
