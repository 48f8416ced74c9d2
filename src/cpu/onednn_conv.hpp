// Convolutions by oneDNN, called on one thread: its own threading changes sums with the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "src/ops/conv2d.hpp"

namespace gpunn::cpu {

enum class ConvPass { forward, backward_data, backward_weights };

// One pass of one convolution for one number of images. Safe to run from several threads at once.
class OnednnConv {
 public:
  struct Shapes {
    std::int64_t images = 0;
    ops::Size2d input, output, kernel;
    std::int64_t in_channels = 0, out_channels = 0;
    bool bias = false;
  };

  OnednnConv(ConvPass pass, const Shapes& shapes, const ops::Conv2dAttrs& attrs);  // throws Error
  ~OnednnConv();

  // What oneDNN calls the kernel it chose: "jit:avx512_core".
  std::string name() const;
  // Bytes that run() needs, at a multiple of 64.
  std::size_t scratch() const;

  // Writes whole outputs, never adds. forward: x, weights, bias? -> y. backward_data: y holds dz, x is
  // written. backward_weights: x, y holds dz -> weights, bias.
  struct Memory {
    float *x = nullptr, *weights = nullptr, *bias = nullptr, *y = nullptr;
  };
  void run(const Memory& memory, void* scratch) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpunn::cpu
