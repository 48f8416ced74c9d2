// Where the golden values lie. CMake tells one file: a path from __FILE__ may be relative to where the compiler ran.
#pragma once

#include <filesystem>

namespace gpunn::testing {

std::filesystem::path golden_folder();

}  // namespace gpunn::testing
