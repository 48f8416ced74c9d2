// Elements of one dtype as those of another.
#pragma once

#include <cstdint>

#include "gpunn/dtype.hpp"

namespace gpunn {

// Throws DataError for a number that an integer type cannot hold. The two must not overlap.
void convert_elements(Dtype from, const void* elements, Dtype to, void* converted, std::int64_t n);

}  // namespace gpunn
