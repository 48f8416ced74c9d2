// Marks what runs on both sides: nvcc compiles it into kernels, g++ and clang into the CPU backend and the
// tests.
#pragma once

#if defined(__CUDACC__)
#define GPUNN_HD __host__ __device__
// Before a loop whose counter indexes an array: unrolled, the array is registers; rolled, it is slow local
// memory.
#define GPUNN_UNROLL _Pragma("unroll")
#else
#define GPUNN_HD
#define GPUNN_UNROLL
#endif
