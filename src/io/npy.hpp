// Arrays in numpy's npy format (1.0 to 3.0), and the lists that numpy pickles into them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpunn/tensor.hpp"

namespace gpunn::io {

struct NpyArray {
  std::string descr;  // numpy's type: "<i8"; "|O" are pickled objects
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;  // of the file, in row-major order
};

// `where` names the file in messages. Throws DataError.
NpyArray parse_npy(std::span<const std::byte> file, const std::string& where);

// An array of whole numbers of one axis as i32. Throws DataError for other arrays, and numbers beyond 32
// bits.
std::vector<std::int32_t> npy_integers(const NpyArray& array, const std::string& where);
// An array of objects of one axis, each a list of whole numbers.
std::vector<std::vector<std::int32_t>> npy_integer_lists(const NpyArray& array, const std::string& where);

}  // namespace gpunn::io
