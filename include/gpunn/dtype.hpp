// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "gpunn/export.hpp"

namespace gpunn {

enum class Dtype : std::uint8_t { f32, f64, bf16, f16, i32, i64, u8, boolean };

// 16-bit floats are storage formats on the host: convert with to_float / from_float.
struct bf16 {
  std::uint16_t bits = 0;
};
struct f16 {
  std::uint16_t bits = 0;
};

GPUNN_API float to_float(bf16 x);
GPUNN_API float to_float(f16 x);
GPUNN_API bf16 to_bf16(float x);  // rounds to nearest even; NaN stays NaN
GPUNN_API f16 to_f16(float x);    // rounds to nearest even; overflows to infinity

GPUNN_API std::size_t size_of(Dtype dtype);         // bytes per element
GPUNN_API std::string_view to_string(Dtype dtype);  // "f32", ..., "bool"
GPUNN_API bool is_floating(Dtype dtype);

namespace detail {
template <class T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
  static constexpr Dtype value = Dtype::f32;
};
template <>
struct DtypeOf<double> {
  static constexpr Dtype value = Dtype::f64;
};
template <>
struct DtypeOf<bf16> {
  static constexpr Dtype value = Dtype::bf16;
};
template <>
struct DtypeOf<f16> {
  static constexpr Dtype value = Dtype::f16;
};
template <>
struct DtypeOf<std::int32_t> {
  static constexpr Dtype value = Dtype::i32;
};
template <>
struct DtypeOf<std::int64_t> {
  static constexpr Dtype value = Dtype::i64;
};
template <>
struct DtypeOf<std::uint8_t> {
  static constexpr Dtype value = Dtype::u8;
};
template <>
struct DtypeOf<bool> {
  static constexpr Dtype value = Dtype::boolean;
};
}  // namespace detail

template <class T>
inline constexpr Dtype dtype_of = detail::DtypeOf<T>::value;

}  // namespace gpunn
