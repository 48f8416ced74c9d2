#include "gpunn/dtype.hpp"

#include <bit>

#include "gpunn/error.hpp"

namespace gpunn {

float to_float(bf16 x) {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

float to_float(f16 x) {
  const std::uint32_t sign = std::uint32_t{x.bits & 0x8000u} << 16;
  const std::uint32_t exponent = (x.bits >> 10) & 0x1Fu;
  const std::uint32_t fraction = x.bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (fraction << 13));  // infinity, NaN
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormals, exactly
  return sign != 0 ? -magnitude : magnitude;
}

bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  // Rounding could carry a NaN's fraction into infinity: keep its top bits and make it quiet.
  if (x != x) return {static_cast<std::uint16_t>((bits >> 16) | 0x0040u)};
  const std::uint32_t half_and_tie = 0x7FFFu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>((bits + half_and_tie) >> 16)};
}

f16 to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  const auto signed_bits = [sign](std::uint32_t value) {
    return f16{static_cast<std::uint16_t>(sign | value)};
  };

  if (magnitude > 0x7F800000u) return signed_bits(0x7E00u | ((magnitude >> 13) & 0x3FFu));
  constexpr std::uint32_t kOverflow = 0x477FF000u;  // 65520: halfway to what would be the next f16
  if (magnitude >= kOverflow) return signed_bits(0x7C00u);
  constexpr std::uint32_t kSmallestNormal = 0x38800000u;  // 2^-14
  if (magnitude < kSmallestNormal) {
    // The sum's last place is 2^-24, the spacing of f16's subnormals, so the addition itself rounds to
    // nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return signed_bits(std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5f));
  }
  const std::uint32_t half_and_tie = 0xFFFu + ((magnitude >> 13) & 1u);
  return signed_bits((magnitude + half_and_tie - (112u << 23)) >> 13);
}

std::size_t size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f64:
    case Dtype::i64:
      return 8;
    case Dtype::f32:
    case Dtype::i32:
      return 4;
    case Dtype::bf16:
    case Dtype::f16:
      return 2;
    case Dtype::u8:
    case Dtype::boolean:
      return 1;
  }
  throw UsageError("size_of: " + std::to_string(static_cast<int>(dtype)) + " is no dtype");
}

std::string_view to_string(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f64:
      return "f64";
    case Dtype::bf16:
      return "bf16";
    case Dtype::f16:
      return "f16";
    case Dtype::i32:
      return "i32";
    case Dtype::i64:
      return "i64";
    case Dtype::u8:
      return "u8";
    case Dtype::boolean:
      return "bool";
  }
  return "no dtype";
}

bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::bf16 || dtype == Dtype::f16;
}

}  // namespace gpunn
