// Small archives, arrays and pickles, made byte by byte, so that tests can make wrong ones too.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gpunn::npz {

template <class T>
std::string little(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Stored entries.
inline std::string zip(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string archive, directory;
  for (const auto& [name, content] : entries) {
    const auto crc = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
    const auto size = static_cast<std::uint32_t>(content.size());
    const std::string common = little<std::uint32_t>(0) + little<std::uint32_t>(0) + little(crc) +
                               little(size) + little(size) + little(static_cast<std::uint16_t>(name.size())) +
                               std::string(2, '\0');
    directory += std::string("PK\1\2") + little<std::uint32_t>(20) + common + std::string(10, '\0') +
                 little(static_cast<std::uint32_t>(archive.size())) + name;
    archive += std::string("PK\3\4") + little<std::uint16_t>(20) + common + name + content;
  }
  const auto begin = static_cast<std::uint32_t>(archive.size());
  const auto count = static_cast<std::uint16_t>(entries.size());
  return archive + directory + "PK\5\6" + std::string(4, '\0') + little(count) + little(count) +
         little(static_cast<std::uint32_t>(directory.size())) + little(begin) + std::string(2, '\0');
}

inline std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  const std::string header = "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
  return std::string("\x93NUMPY\1\0", 8) + little(static_cast<std::uint16_t>(header.size())) + header + data;
}

// An array whose elements these instructions push. Memory place 0 holds the list of the elements.
inline std::string pickled(const std::string& elements) {
  return std::string("\x80\4", 2) + "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" +
         std::string(
             "K\0\x85"
             "C\1b\x87R(K\1K\1\x85",
             14) +
         "cnumpy\ndtype\n" +
         std::string("\x8C\2O8\x89\x88\x87R(K\3\x8C\1|NNNJ\xFF\xFF\xFF\xFFJ\xFF\xFF\xFF\xFFK\x3Ftb\x89]\x94(",
                     35) +
         elements + "etb.";
}

}  // namespace gpunn::npz
