// Marks what runs on both sides: nvcc compiles it into kernels, g++ and clang into the CPU backend and the
// tests.
#pragma once

#if defined(__CUDACC__)
#define GPUNN_HD __host__ __device__
// Before a loop whose counter indexes an array: unrolled, the array is registers; rolled, it is slow local
// memory.
#define GPUNN_UNROLL _Pragma("unroll")
// Before a loop that must stay one: unrolled, its loads would all be in registers at once.
#define GPUNN_ROLLED _Pragma("unroll 1")
#else
#define GPUNN_HD
#define GPUNN_UNROLL
#define GPUNN_ROLLED
#endif
