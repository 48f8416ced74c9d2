// cudaLaunchKernelEx with its types kept: the executor needs to know how to call the kernel and how big its
// parameters are, which the toolkit's void** does not say.
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "simt/location.hpp"

namespace simt {

struct Signature {
  void (*call)(const void* kernel, void** parameters);
  const std::size_t* sizes;
  const std::size_t* alignments;
  std::size_t count;
};

cudaError_t launch(const Location& at, const cudaLaunchConfig_t* config, const void* kernel,
                   void** parameters, const Signature& signature);

// Host code in stream order that may touch device memory: how a library call that has no kernel of ours
// (Thrust, a matrix product) takes its place in the stream. It is captured like a kernel, and may run many
// times.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

template <class... Params>
struct SignatureOf {
  static constexpr std::size_t sizes[] = {sizeof(Params)..., 0};
  static constexpr std::size_t alignments[] = {alignof(Params)..., 0};

  static void call(const void* kernel, void** parameters) {
    call(kernel, parameters, std::index_sequence_for<Params...>{});
  }
  static constexpr Signature value() { return {&call, sizes, alignments, sizeof...(Params)}; }

 private:
  template <std::size_t... I>
  static void call(const void* kernel, [[maybe_unused]] void** parameters, std::index_sequence<I...>) {
    auto* function = reinterpret_cast<void (*)(Params...)>(const_cast<void*>(kernel));
    function(*static_cast<std::remove_reference_t<Params>*>(parameters[I])...);
  }
};

}  // namespace simt

// The same call as the toolkit's template, and like it converts the arguments to the kernel's parameter
// types.
template <class... Params, class... Args>
cudaError_t simt_launch(const simt::Location& at, const cudaLaunchConfig_t* config, void (*kernel)(Params...),
                        Args&&... args) {
  static_assert((std::is_trivially_copyable_v<Params> && ...), "kernel parameters are copied as bytes");
  return [&](Params... params) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&params))..., nullptr};
    return simt::launch(at, config, reinterpret_cast<const void*>(kernel), pointers,
                        simt::SignatureOf<Params...>::value());
  }(std::forward<Args>(args)...);
}
// A macro only so that a report can name the line of the launch.
#define cudaLaunchKernelEx(...) simt_launch(simt::Location::current(), __VA_ARGS__)

// Typed forms that the toolkit offers to nvcc alone.
template <class... Params>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Params...), cudaFuncAttribute attribute, int value) {
  return ::cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class... Params>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*kernel)(Params...)) {
  return ::cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(kernel));
}
template <class... Params>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*kernel)(Params...),
                                                          int block_size, std::size_t dynamic_bytes) {
  return ::cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void*>(kernel),
                                                         block_size, dynamic_bytes);
}

// Device side of conditional graph nodes.
void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value);
