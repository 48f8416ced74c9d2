#pragma once

#include "runtime.hpp"

namespace simt {

// What a plan of faults has in store for this call.
struct Injection {
  cudaError_t code = cudaSuccess;   // the call returns it and does nothing, unless it releases something
  cudaError_t kills = cudaSuccess;  // the device dies of it, as after a failing kernel
};
Injection count_call(const char* name);

void load_faults(const std::string& json);  // the lock is held

void start_once();  // devices and options, at the first call
int& thread_device();

}  // namespace simt
