#include "src/cuda/library_call.hpp"

#include <algorithm>

#include "src/core/text.hpp"

namespace gpunn::cuda {

std::string instead_of(const std::string& wanted, const std::string& name, const std::string& why) {
  return cat(wanted, " is replaced by ", name, ": ", why);
}

Implementation library_or_own(LibraryCall library, Afterwards after, OwnKernel own) {
  Implementation made;
  if (!own.why.empty()) {
    made.name = std::move(own.name), made.why = std::move(own.why);
    made.scratch = own.scratch, made.launches = own.launches;
    made.fallback = std::move(own.fallback);
    made.run = std::move(own.run);
    return made;
  }
  made.name = library.name, made.why = library.why;
  made.scratch = std::max({library.scratch, after.scratch, own.scratch});  // whichever it turns out to be
  made.launches = 1 + after.launches;
  // Shared by both closures; empty until bound, and for good where the library refuses.
  const auto call = std::make_shared<std::function<void(const Launch&)>>();
  made.prepare = [=, name = own.name, launches = own.launches](const Launch& l) -> Implementation::Bound {
    auto bound = library.bind(l, *static_cast<Libraries*>(l.libraries));
    *call = std::move(bound.run);
    if (*call) return {bound.name, bound.why, {}, 0};
    return {name, bound.why, instead_of(library.name, name, bound.why), launches};
  };
  made.run = [=, run = std::move(own.run)](const Launch& l) {
    if (!*call) return run(l);
    (*call)(l);
    if (after.run) after.run(l);
  };
  return made;
}

}  // namespace gpunn::cuda
