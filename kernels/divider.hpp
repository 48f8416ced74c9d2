// Division by a number that is known before the kernel starts, as one multiplication (Granlund and
// Montgomery, "Division by invariant integers using multiplication", PLDI 1994). A GPU has no divide
// instruction: 64-bit division is a subroutine of some 70 instructions that also costs registers around its
// call.
#pragma once

#include <cstdint>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

class Divider {
 public:
  constexpr Divider() = default;  // by 1
  // REQUIRES: 1 <= d < 2^31
  constexpr explicit Divider(std::int64_t d) : divisor_(static_cast<std::uint32_t>(d)) {
    while ((std::uint64_t{1} << shift_) < divisor_) ++shift_;
    const std::uint64_t excess = (std::uint64_t{1} << shift_) - divisor_;
    magic_ = static_cast<std::uint32_t>((excess << 32) / divisor_ + 1);
  }

  // REQUIRES: n < 2^31
  GPUNN_HD constexpr std::uint32_t quotient(std::uint32_t n) const {
    return (static_cast<std::uint32_t>(std::uint64_t{magic_} * n >> 32) + n) >> shift_;
  }

  struct Split {
    std::uint32_t quotient, remainder;
  };
  GPUNN_HD constexpr Split split(std::uint32_t n) const {
    const std::uint32_t q = quotient(n);
    return {q, n - q * divisor_};
  }

 private:
  std::uint32_t divisor_ = 1;
  std::uint32_t magic_ = 1;
  std::uint32_t shift_ = 0;
};

}  // namespace gpunn::kernels
