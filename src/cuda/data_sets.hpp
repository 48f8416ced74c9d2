// Data sets that are kept on a device, one copy each for all executors that read them: training, evaluation
// and a short last batch have one of their own.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "src/ir/backend.hpp"
#include "src/memory/block_cache.hpp"

namespace gpunn::cuda {

class DataSets {
 public:
  DataSets(int ordinal, BlockCache& memory) : ordinal_(ordinal), memory_(memory) {}

  // The rows of `source`, copied there on `stream` unless some executor has them. Null where they do not fit,
  // and then `why` says so. Whoever holds them lets go behind its last use. Throws OutOfMemory.
  std::shared_ptr<const Buffer> find(const Source& source, std::size_t bytes, cudaStream_t stream,
                                     std::string& why);

 private:
  const int ordinal_;
  BlockCache& memory_;
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, const void*>, std::weak_ptr<const Buffer>> kept_;  // by id and base
};

}  // namespace gpunn::cuda
