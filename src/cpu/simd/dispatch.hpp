// The SIMD kernels of the CPU backend: plain functions over raw pointers, one set per instruction set, chosen
// once.
//
// Kernels know no graph, no threads and no allocation: scratch is passed in, sized by the functions beside
// each table. All tensors are float32; strides are in elements; empty sizes are legal and do nothing. Results
// of one level do not depend on how a batch is cut into slices unless a kernel's comment says so; levels
// differ from each other in last bits.
#pragma once

#include "src/cpu/simd/activation.hpp"
#include "src/cpu/simd/conv.hpp"
#include "src/cpu/simd/conv_gradient.hpp"
#include "src/cpu/simd/dense.hpp"
#include "src/cpu/simd/elementwise.hpp"
#include "src/cpu/simd/embedding.hpp"
#include "src/cpu/simd/loss.hpp"
#include "src/cpu/simd/optimizer.hpp"
#include "src/cpu/simd/pool.hpp"
#include "src/cpu/simd/random.hpp"
#include "src/cpu/simd/rnn_sequence.hpp"

namespace gpunn::cpu::simd {

enum class Isa { base, avx2, avx512 };

struct Kernels {
  Isa isa;
  const char* name;  // "base", "avx2", "avx512"
  const ElementwiseKernels& elementwise;
  const ActivationKernels& activation;
  const DenseKernels& dense;
  const ConvKernels& conv;
  const ConvGradientKernels& conv_gradient;
  const PoolKernels& pool;
  const LossKernels& loss;
  const OptimizerKernels& optimizer;
  const RandomKernels& random;
  const EmbeddingKernels& embedding;
  const RnnKernels* rnn_cells[4];  // in the order of RnnCell
  const RnnKernels& rnn(RnnCell cell) const { return *rnn_cells[static_cast<int>(cell)]; }
};

// The set this process uses: the widest that the processor has, or the one named by the environment variable
// GPUNN_CPU_ISA (base, avx2, avx512), read once. Throws UsageError when it names an unknown set or one the
// processor lacks.
const Kernels& kernels();

// One set by name, for tests; null where the processor lacks it.
const Kernels* kernels_for(Isa isa);

}  // namespace gpunn::cpu::simd
