// How a group of kernels reaches the dispatcher: one constant table of function pointers per instruction set.
//
// In the group's header:      struct DenseKernels { void (*nn)(const Gemm&); ... };
//                             GPUNN_SIMD_TABLES(DenseKernels, dense_table)
// in its *.simd.cpp, last:    const DenseKernels GPUNN_SIMD_NAME(dense_table) = {.nn = nn, ...};
// and in dispatch.hpp/.cpp:   one member and one line.
#pragma once

#define GPUNN_SIMD_JOIN2(stem, level) stem##_##level
#define GPUNN_SIMD_JOIN(stem, level) GPUNN_SIMD_JOIN2(stem, level)
#define GPUNN_SIMD_NAME(stem) GPUNN_SIMD_JOIN(stem, GPUNN_SIMD_LEVEL)

#if defined(__x86_64__)
#define GPUNN_SIMD_TABLES(Type, stem) extern const Type stem##_base, stem##_avx2, stem##_avx512;
#else
#define GPUNN_SIMD_TABLES(Type, stem) extern const Type stem##_base;
#endif
