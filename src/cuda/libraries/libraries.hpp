// The libraries' handles for the work of one stream. Made when first needed, so that a step that needs no
// library pays for none.
#pragma once

#include <driver_types.h>

#include <memory>

struct cublasLtContext;
struct cudnnContext;

namespace gpunn::cuda {

class Libraries {
 public:
  Libraries();
  ~Libraries();
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;

  // Both throw DeviceError, or OutOfMemory; the device that is current then is theirs.
  cublasLtContext* cublaslt();
  cudnnContext*
  cudnn();  // throws as well in a build without cuDNN, and when headers and library are two releases

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace gpunn::cuda
