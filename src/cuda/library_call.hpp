// A node that a library computes or a kernel of ours. Which, is decided from shape and device when the step
// is planned; what depends on pointers, as a library's algorithm does, when it is bound. Where the library
// then refuses, our kernel does it, and the plan and the log say why.
#pragma once

#include "gpunn/cuda.hpp"
#include "src/cuda/libraries/libraries.hpp"

namespace gpunn::cuda {

// From here on a product takes so long that the library's speed is worth a launch more: about a launch's 2.5
// us at the difference between 10 and 40 TFLOP/s. Not measured; below it whatever saves launches wins.
inline constexpr double kLaunchFlops = 32e6;

// A kernel of ours that does the whole node.
struct OwnKernel {
  std::string name;
  std::string why;       // why the library does not do it; empty: it does
  std::string fallback;  // where the library was wanted: as in Implementation
  std::function<void(const Launch&)> run;
  int launches = 1;
  std::size_t scratch = 0;
};

// What the library's call leaves to a kernel of ours behind it.
struct Afterwards {
  std::function<void(const Launch&)> run;  // may be empty
  int launches = 0;
  std::size_t scratch = 0;
};

struct LibraryCall {
  std::string name, why;  // for the plan
  std::size_t scratch = 0;
  struct Bound {
    std::string name, why;  // what was chosen; or, without `run`, why nothing could be
    std::function<void(const Launch&)> run;
  };
  std::function<Bound(const Launch&, Libraries&)> bind;
};

Implementation library_or_own(LibraryCall library, Afterwards after, OwnKernel own);

// Implementation::fallback of a library that was wanted.
std::string instead_of(const std::string& wanted, const std::string& name, const std::string& why);

// For what the library cannot do in the same launch: behind it where the node is large, else our kernel,
// which can.
inline void follow_with(double flops, const char* what, Afterwards afterwards, Afterwards& after,
                        OwnKernel& own) {
  if (flops >= kLaunchFlops) {
    after = std::move(afterwards);
  } else if (own.why.empty()) {
    own.why = std::string(what) + " in the same launch";
  }
}

}  // namespace gpunn::cuda
