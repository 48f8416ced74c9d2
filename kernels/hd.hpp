// Marks what runs on both sides: nvcc compiles it into kernels, g++ and clang into the CPU backend and the
// tests.
#pragma once

#if defined(__CUDACC__)
#define GPUNN_HD __host__ __device__
#else
#define GPUNN_HD
#endif
