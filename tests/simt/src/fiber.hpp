// A fiber: a stack, a saved context, and what the sanitizers need to know about the switch.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>

namespace simt {

class Fiber {
 public:
  // `body` never returns; it is entered at the first resume.
  using Body = void (*)(Fiber& self);

  explicit Fiber(Body body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();       // from the scheduler: run until the fiber yields
  void yield();        // from the fiber: back to the scheduler
  void restart();      // forget where it was: the next resume enters `body` anew
  void renew_stack();  // fresh pages: TSan forgets what was there
  // From now on TSan takes the fiber for another thread; the old identity must live on until it has been
  // forgotten.
  void renew_identity();
  void act_as(const Fiber& other) { acts_as_ = other.identity_; }  // TSan takes the two for one thread
  static void release_old_identities();

 private:
  static void enter(boost::context::detail::transfer_t from);

  Body body_;
  char* stack_;
  boost::context::detail::fcontext_t context_ = nullptr;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  void* identity_ = nullptr;    // ThreadSanitizer's, ours
  void* acts_as_ = nullptr;     // the one that is used
};

}  // namespace simt
