#include "tests/cudnn/plan_table.hpp"

namespace gpunn::cuda {

std::filesystem::path table_file() {
  return GPUNN_CUDNN_PLANS;
}

}  // namespace gpunn::cuda
