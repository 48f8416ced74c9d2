// The streams of random numbers that are not an op's: ops number theirs from 0 up, these count from the top
// down.
#pragma once

#include <cstdint>

namespace gpunn::streams {

inline constexpr std::uint32_t kShuffle = 0xFFFFFFFFu;  // the order of an epoch's samples; step = epoch
inline constexpr std::uint32_t kSplit = 0xFFFFFFFEu;    // which samples go to the test part
inline constexpr std::uint32_t kBuckets = 0xFFFFFFFDu;  // the order of an epoch's batches from buckets

}  // namespace gpunn::streams
