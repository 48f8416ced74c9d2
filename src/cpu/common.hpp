// What the CPU implementations of ops have in common.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/cpu/registry.hpp"
#include "src/cpu/simd/dispatch.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/common.hpp"

namespace gpunn::cpu {

constexpr simd::Activation to_simd(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::linear:
      return simd::Activation::linear;
    case ops::Activation::relu:
      return simd::Activation::relu;
    case ops::Activation::sigmoid:
      return simd::Activation::sigmoid;
    case ops::Activation::tanh:
      return simd::Activation::tanh;
    case ops::Activation::gelu:
      return simd::Activation::gelu;
  }
  return simd::Activation::linear;
}

// An implementation that runs slice by slice.
template <class Run>
Implementation sliced(std::string name, std::string why, Run run, std::size_t scratch = 0) {
  return {
      .name = std::move(name), .why = std::move(why), .scratch = scratch, .tasks = 0, .run = std::move(run)};
}

// One that needs the whole batch, as `tasks` independent pieces.
template <class Run>
Implementation whole(std::string name, std::string why, int tasks, Run run, std::size_t scratch = 0) {
  return {.name = std::move(name),
          .why = std::move(why),
          .scratch = scratch,
          .tasks = tasks,
          .run = std::move(run)};
}

inline constexpr std::size_t kFloat = sizeof(float);

inline std::size_t floats(std::int64_t count) {
  return static_cast<std::size_t>(count) * kFloat;
}

// y = f or y += f, for loops that are written once for both.
inline void put(float& y, float value, bool add) {
  y = add ? y + value : value;
}

}  // namespace gpunn::cpu
