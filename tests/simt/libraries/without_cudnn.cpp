// Where cuDNN's headers are missing there is no stand-in for it, and nothing to choose.
#include "simt/libraries.hpp"

namespace simt {

void set_cudnn_heuristic(Heuristic) {}
void set_cudnn_version(std::size_t) {}
void set_cudnn_rnn_workspace(std::size_t) {}

}  // namespace simt
