// A dense array in host memory: what goes into a model and comes out of it.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "gpunn/shape.hpp"

namespace gpunn {

// Contiguous, outermost extent first. Copies share the elements (as numpy views do); clone() makes new ones.
class GPUNN_API Tensor {
 public:
  Tensor() = default;                                      // no elements, shape [0], f32
  explicit Tensor(Shape shape, Dtype dtype = Dtype::f32);  // zeros; throws OutOfMemory

  // Copies `values`; throws ShapeError when their number is not shape.elements().
  template <class T>
  static Tensor of(const Shape& shape, std::span<const T> values,
                   SourceLocation where = SourceLocation::current()) {
    Tensor t(shape, dtype_of<T>);
    t.expect_elements(values.size(), where);
    if (!values.empty()) std::memcpy(t.bytes(), values.data(), values.size_bytes());
    return t;
  }
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values,
                   SourceLocation where = SourceLocation::current()) {
    return of(shape, std::span<const T>(values), where);
  }

  // Uses memory that the caller owns; it must stay valid and unchanged as long as any copy of the tensor
  // lives.
  static Tensor borrow(Shape shape, Dtype dtype, const void* elements);

  const Shape& shape() const { return shape_; }
  Dtype dtype() const { return dtype_; }
  std::int64_t elements() const { return shape_.elements(); }
  std::size_t size_bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype_); }

  // Throws UsageError when T is not the dtype.
  template <class T>
  std::span<T> data() {
    expect_dtype(dtype_of<T>);
    return {reinterpret_cast<T*>(bytes_.get()), static_cast<std::size_t>(elements())};
  }
  template <class T>
  std::span<const T> data() const {
    expect_dtype(dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes_.get()), static_cast<std::size_t>(elements())};
  }
  std::byte* bytes() { return bytes_.get(); }
  const std::byte* bytes() const { return bytes_.get(); }

  Tensor reshape(Shape shape) const;                        // shares elements; throws ShapeError
  Tensor rows(std::int64_t begin, std::int64_t end) const;  // a view along the first axis; throws ShapeError
  Tensor clone() const;
  // Converted element by element; the same tensor when it already is `dtype`. Throws DataError for a number
  // that an integer type cannot hold: too large, NaN, or not whole.
  Tensor to(Dtype dtype) const;

 private:
  void expect_dtype(Dtype asked) const;
  void expect_elements(std::size_t given, SourceLocation where) const;

  Shape shape_{0};
  Dtype dtype_ = Dtype::f32;
  std::shared_ptr<std::byte> bytes_;
};

}  // namespace gpunn
