// RAII for the libraries' handles.
#pragma once

#include <memory>
#include <type_traits>

#include "gpunn/error.hpp"

namespace gpunn::cuda {

// Destroys without looking at the status. At exit the driver may already be gone, and a destructor that
// throws then turns a finished program into an abort.
template <auto Destroy>
struct Release {
  template <class T>
  void operator()(T* raw) const noexcept {
    static_cast<void>(Destroy(raw));
  }
};

// Every handle is an opaque pointer, so unique_ptr already is the RAII class.
template <class Raw, auto Destroy>
using Handle = std::unique_ptr<std::remove_pointer_t<Raw>, Release<Destroy>>;

// The handle that `create(&raw)` makes; a failure names the caller's line.
template <class H, class Create>
H make_handle(Create create, SourceLocation at = SourceLocation::current()) {
  typename H::pointer raw = nullptr;
  check(create(&raw), at);
  return H(raw);
}

}  // namespace gpunn::cuda
