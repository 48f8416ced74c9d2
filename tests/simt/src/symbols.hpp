// What the program's own symbol table knows about kernels.
#pragma once

#include <cstddef>
#include <string>

namespace simt {

std::string kernel_name(const void* kernel);             // demangled; its address if there is no symbol
std::size_t static_shared_bytes_of(const void* kernel);  // sum of its __shared__ variables
int launch_bound_of(const void* kernel);                 // from __launch_bounds__, or 1024

}  // namespace simt
