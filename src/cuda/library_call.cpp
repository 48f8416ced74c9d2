#include "src/cuda/library_call.hpp"

#include <algorithm>

#include "src/core/log.hpp"

namespace gpunn::cuda {

Implementation library_or_own(LibraryCall library, Afterwards after, OwnKernel own) {
  Implementation made;
  if (!own.why.empty()) {
    made.name = std::move(own.name), made.why = std::move(own.why);
    made.scratch = own.scratch, made.launches = own.launches;
    made.run = std::move(own.run);
    return made;
  }
  made.name = library.name, made.why = library.why;
  made.scratch = std::max({library.scratch, after.scratch, own.scratch});  // whichever it turns out to be
  made.launches = 1 + after.launches;
  // Shared by both closures; empty until bound, and for good where the library refuses.
  const auto call = std::make_shared<std::function<void(const Launch&)>>();
  made.prepare = [=, name = own.name](const Launch& l) -> Implementation::Bound {
    auto bound = library.bind(l, *static_cast<Libraries*>(l.libraries));
    *call = std::move(bound.run);
    if (*call) return {bound.name, bound.why};
    log_once(name + bound.why, LogLevel::warning,
             library.name + " is replaced by " + name + ": " + bound.why);
    return {name, bound.why};
  };
  made.run = [=, run = std::move(own.run)](const Launch& l) {
    if (!*call) return run(l);
    (*call)(l);
    if (after.run) after.run(l);
  };
  return made;
}

}  // namespace gpunn::cuda
