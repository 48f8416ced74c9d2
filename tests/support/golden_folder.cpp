#include "tests/support/golden_folder.hpp"

namespace gpunn::testing {

std::filesystem::path golden_folder() { return GPUNN_GOLDEN_FOLDER; }

}  // namespace gpunn::testing
