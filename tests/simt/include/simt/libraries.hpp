// How a test speaks to the stand-ins for cuBLASLt and cuDNN (libraries/): what their heuristics answer.
//
// A broken rule of a library is reported as a fault of a kernel is: simt::last_report() says which. Where the
// real library would notice, the call returns its code; where only the hardware would, the device dies of it
// (OnFault). Calls are counted and made to fail by name as those of the runtime are: "cublasLtMatmul",
// "cudnnBackendExecute".
#pragma once

#include <cstddef>

namespace simt {

enum class Heuristic {
  normal,
  nothing,      // success, and no result at all
  unsupported,  // CUBLAS_STATUS_NOT_SUPPORTED; cuDNN: the list cannot be made
  not_running,  // results, none of which can be run
};

void set_cublaslt_heuristic(Heuristic answer);
void set_cudnn_heuristic(Heuristic answer);   // nothing: list A is empty, the fallback list is not
void set_cudnn_version(std::size_t version);  // what the loaded library says; 0: what its header says
void set_cudnn_rnn_workspace(std::size_t more);  // bytes that RNNs need from now on, above what they did

// Objects of the libraries that are alive (handles, descriptors), for leak checks.
long live_library_objects();

}  // namespace simt
