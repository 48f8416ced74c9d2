#include "src/cuda/data_sets.hpp"

#include "kernels/check.hpp"
#include "src/core/text.hpp"
#include "src/cuda/memory.hpp"

namespace gpunn::cuda {
namespace {

// A data set may take at most this share of what is free.
constexpr double kShare = 0.5;

}  // namespace

std::shared_ptr<const Buffer> DataSets::find(const Source& source, std::size_t bytes, cudaStream_t stream,
                                             std::string& why) {
  const std::lock_guard lock(mutex_);
  std::erase_if(kept_, [](const auto& entry) { return entry.second.expired(); });
  const auto key = std::pair(source.id, source.base);
  if (const auto found = kept_.find(key); found != kept_.end()) {
    if (auto rows = found->second.lock()) return rows;
  }
  const auto free = DeviceUpstream(ordinal_).free_bytes();
  if (free && static_cast<double>(bytes) > kShare * static_cast<double>(*free)) {
    why = cat("it would take more than half of the ", *free, " bytes that are free");
    return nullptr;
  }
  auto rows = std::make_shared<Buffer>(memory_.allocate(bytes, "a resident data set"));
  check(cudaMemcpyAsync(rows->data(), source.base, bytes, cudaMemcpyHostToDevice, stream));
  check(cudaStreamSynchronize(stream));  // now other streams may read it, too
  kept_[key] = rows;
  return rows;
}

}  // namespace gpunn::cuda
