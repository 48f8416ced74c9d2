#include "gpunn/tensor.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "src/core/convert.hpp"
#include "src/core/dtype_visit.hpp"
#include "src/core/host_memory.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// Throws when the bytes of so many elements cannot be counted.
std::size_t checked_bytes(const Shape& shape, Dtype dtype) {
  const auto elements = static_cast<std::size_t>(shape.elements());
  constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max();
  if (elements > kMost / size_of(dtype)) {
    throw OutOfMemory(cat("out of host memory: no machine holds a tensor ", shape, " ", dtype), kMost);
  }
  return elements * size_of(dtype);
}

template <class T>
auto readable(T x) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) {
    return to_float(x);
  } else {
    return x;
  }
}

// Whether `x` is a value of the integer type To.
template <class To, class From>
bool fits(From x) {
  if constexpr (std::is_floating_point_v<From>) {
    // max() + 1 is a power of two, so it is exact where max() itself may not be.
    const From limit = std::ldexp(From(1), std::numeric_limits<To>::digits);
    return x < limit && x >= (std::is_signed_v<To> ? -limit : From(0)) && std::trunc(x) == x;  // not NaN
  } else {
    return std::in_range<To>(x);
  }
}

template <class To, class From>
void convert(const From* from, Stored<To>* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto x = readable(from[i]);
    if constexpr (std::is_same_v<To, bool>) {
      to[i] = x != 0;
    } else if constexpr (std::is_same_v<To, bf16>) {
      to[i] = to_bf16(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, f16>) {
      to[i] = to_f16(static_cast<float>(x));
    } else if constexpr (std::is_floating_point_v<To>) {
      to[i] = static_cast<To>(x);
    } else {
      if (!fits<To>(x)) {
        throw DataError(cat("tensor: element ", i, " is ", +x, ", which ", dtype_of<To>, " cannot hold"));
      }
      to[i] = static_cast<To>(x);
    }
  }
}

}  // namespace

void convert_elements(Dtype from, const void* elements, Dtype to, void* converted, std::int64_t n) {
  with_dtype(from, [&]<class From>(std::type_identity<From>) {
    with_dtype(to, [&]<class To>(std::type_identity<To>) {
      convert<To>(static_cast<const Stored<From>*>(elements), static_cast<Stored<To>*>(converted), n);
    });
  });
}

Tensor::Tensor(Shape shape, Dtype dtype) : shape_(shape), dtype_(dtype) {
  bytes_ = allocate_host_shared(checked_bytes(shape, dtype), "a tensor");
}

Tensor Tensor::borrow(Shape shape, Dtype dtype, const void* elements) {
  if (elements == nullptr && shape.elements() > 0) throw UsageError("Tensor::borrow: null pointer");
  checked_bytes(shape, dtype);
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  // Aliasing constructor: points at the caller's memory and owns nothing.
  tensor.bytes_ = {std::shared_ptr<void>(), const_cast<std::byte*>(static_cast<const std::byte*>(elements))};
  return tensor;
}

Tensor Tensor::reshape(Shape shape) const {
  if (shape.elements() != elements()) throw ShapeError(cat("tensor: cannot reshape ", shape_, " to ", shape));
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0) throw ShapeError("tensor: a scalar has no rows");
  if (begin < 0 || end < begin || end > shape_[0]) {
    throw ShapeError(cat("tensor: rows ", begin, " to ", end, " of ", shape_));
  }
  const std::int64_t row_bytes =
      shape_.without_front().elements() * static_cast<std::int64_t>(size_of(dtype_));
  Tensor view = *this;
  view.shape_ = shape_.with(0, end - begin);
  if (bytes_ != nullptr) view.bytes_ = {bytes_, bytes_.get() + begin * row_bytes};
  return view;
}

Tensor Tensor::clone() const {
  Tensor copy(shape_, dtype_);
  if (size_bytes() > 0) std::memcpy(copy.bytes(), bytes(), size_bytes());
  return copy;
}

Tensor Tensor::to(Dtype dtype) const {
  if (dtype == dtype_) return *this;
  Tensor result(shape_, dtype);
  convert_elements(dtype_, bytes(), dtype, result.bytes(), elements());
  return result;
}

void Tensor::expect_dtype(Dtype asked) const {
  if (asked != dtype_) throw UsageError(cat("tensor: elements are ", dtype_, ", asked for as ", asked));
}

void Tensor::expect_elements(std::size_t given, SourceLocation where) const {
  if (given != static_cast<std::size_t>(elements())) {
    throw ShapeError(cat("tensor: ", given, " values for shape ", shape_, ", which holds ", elements()),
                     where);
  }
}

}  // namespace gpunn
