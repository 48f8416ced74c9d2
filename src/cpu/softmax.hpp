// The two halves of a softmax, shared with its cross-entropy.
#pragma once

#include "src/cpu/common.hpp"

namespace gpunn::cpu {

// e = exp(x - largest of its vector); the largest ones too, where asked for. NaN stays NaN.
void exponentials(std::int64_t vectors, std::int64_t classes, const float* x, float* e,
                  float* largest = nullptr);

// Divides one vector by its sum, which it returns.
float normalize(std::int64_t classes, float* e);

}  // namespace gpunn::cpu
