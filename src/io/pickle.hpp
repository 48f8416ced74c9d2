// The one thing that is read from Python pickles: numpy arrays of lists of whole numbers.
//
// A pickle is a program for a stack machine that can call any function of Python. This machine knows the
// instructions that numpy's arrays of lists are written with (protocols 2 to 5), makes nothing but numbers,
// short texts, tuples and lists of them, and calls nothing: the four functions that numpy names are only
// recognised. Memory grows with the bytes read, never with what they claim.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gpunn::io {

// `count` lists. `where` names the file. Throws DataError, with the byte, for everything else.
std::vector<std::vector<std::int32_t>> unpickle_integer_lists(std::span<const std::byte> pickle,
                                                              std::int64_t count, const std::string& where);

}  // namespace gpunn::io
