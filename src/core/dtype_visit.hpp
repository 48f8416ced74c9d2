// From a dtype at run time to a type at compile time.
#pragma once

#include <type_traits>

#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"

namespace gpunn {

// Calls use(std::type_identity<T>{}) with the C++ type that stores `dtype`. Bools come as u8 if asked through
// `Stored`, below: a byte that is neither 0 nor 1 must not be read as a bool.
template <class Use>
decltype(auto) with_dtype(Dtype dtype, Use&& use) {
  switch (dtype) {
    case Dtype::f32:
      return use(std::type_identity<float>{});
    case Dtype::f64:
      return use(std::type_identity<double>{});
    case Dtype::bf16:
      return use(std::type_identity<bf16>{});
    case Dtype::f16:
      return use(std::type_identity<f16>{});
    case Dtype::i32:
      return use(std::type_identity<std::int32_t>{});
    case Dtype::i64:
      return use(std::type_identity<std::int64_t>{});
    case Dtype::u8:
      return use(std::type_identity<std::uint8_t>{});
    case Dtype::boolean:
      return use(std::type_identity<bool>{});
  }
  throw UsageError("no such dtype");
}

template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;

}  // namespace gpunn
