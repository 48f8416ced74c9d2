#include "src/cuda/libraries/libraries.hpp"

#include "src/cuda/libraries/cublaslt_gemm.hpp"
#include "src/cuda/libraries/cudnn_handle.hpp"

namespace gpunn::cuda {

struct Libraries::Handles {
  CublasLt cublaslt;
  cudnnContext* cudnn = nullptr;

  Handles() = default;
  ~Handles() {
    if (cudnn != nullptr) destroy_cudnn(cudnn);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
};

Libraries::Libraries() : handles_(std::make_unique<Handles>()) {}
Libraries::~Libraries() = default;

cublasLtContext* Libraries::cublaslt() {
  if (handles_->cublaslt == nullptr) handles_->cublaslt = make_handle<CublasLt>(cublasLtCreate);
  return handles_->cublaslt.get();
}

cudnnContext* Libraries::cudnn() {
  if (handles_->cudnn == nullptr) handles_->cudnn = create_cudnn();
  return handles_->cudnn;
}

}  // namespace gpunn::cuda
