#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sanitizer.hpp"

// Defaults that *SAN_OPTIONS may change: the first report ends the process, as a failing assertion does.
extern "C" {
const char* __tsan_default_options() {
  return "halt_on_error=1:exitcode=66:die_after_fork=0:atexit_sleep_ms=0";
}
const char* __asan_default_options() {
  return "detect_stack_use_after_return=0:exitcode=67";
}
const char* __ubsan_default_options() {
  return "print_stacktrace=1:exitcode=68";
}
}

namespace simt {
namespace {

namespace bc = boost::context::detail;

constexpr std::size_t kStack = 128 << 10;
constexpr std::size_t kGuard =
    4096;                        // a page that faults, so that a stack too small is a crash and not a riddle
constexpr unsigned kNoSync = 1;  // __tsan_switch_to_fiber_no_sync: a switch orders nothing

// The scheduler's side of the switch. One OS thread at a time runs a launch, so one of each is enough.
struct Scheduler {
  bc::fcontext_t context = nullptr;
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  std::size_t stack_size = 0;
  void* identity = nullptr;
} scheduler;

std::vector<void*>& old_identities() {
  static std::vector<void*> identities;
  return identities;
}

}  // namespace

Fiber::Fiber(Body body) : body_(body) {
  void* memory = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) {
    std::perror("simt: no memory for a fiber's stack");
    std::abort();
  }
  stack_ = static_cast<char*>(memory) + kGuard;
  if (under_tsan()) identity_ = __tsan_create_fiber(0);
  act_as(*this);
  restart();
}

Fiber::~Fiber() {
  if (identity_ != nullptr) __tsan_destroy_fiber(identity_);
  open_memory(stack_, kStack);
  munmap(stack_ - kGuard, kStack + kGuard);
}

void Fiber::restart() {
  open_memory(stack_, kStack);
  context_ = bc::make_fcontext(stack_ + kStack, kStack, &Fiber::enter);
  fake_stack_ = nullptr;
}

void Fiber::renew_stack() {
  mmap(stack_, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
       0);
  restart();
}

void Fiber::renew_identity() {
  old_identities().push_back(identity_);
  identity_ = __tsan_create_fiber(0);
}

void Fiber::release_old_identities() {
  for (void* identity : old_identities()) __tsan_destroy_fiber(identity);
  old_identities().clear();
}

void Fiber::resume() {
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&scheduler.fake_stack, stack_, kStack);
  if (under_tsan()) {
    scheduler.identity = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(acts_as_, kNoSync);
  }
  const bc::transfer_t from = bc::jump_fcontext(context_, this);
  context_ = from.fctx;
  if (__sanitizer_finish_switch_fiber)
    __sanitizer_finish_switch_fiber(scheduler.fake_stack, nullptr, nullptr);
}

void Fiber::yield() {
  if (__sanitizer_start_switch_fiber) {
    __sanitizer_start_switch_fiber(&fake_stack_, scheduler.stack_bottom, scheduler.stack_size);
  }
  if (under_tsan()) __tsan_switch_to_fiber(scheduler.identity, kNoSync);
  const bc::transfer_t from = bc::jump_fcontext(scheduler.context, nullptr);
  scheduler.context = from.fctx;
  if (__sanitizer_finish_switch_fiber) {
    __sanitizer_finish_switch_fiber(fake_stack_, &scheduler.stack_bottom, &scheduler.stack_size);
  }
}

void Fiber::enter(bc::transfer_t from) {
  scheduler.context = from.fctx;
  if (__sanitizer_finish_switch_fiber) {
    __sanitizer_finish_switch_fiber(nullptr, &scheduler.stack_bottom, &scheduler.stack_size);
  }
  Fiber& self = *static_cast<Fiber*>(from.data);
  self.body_(self);
  std::abort();  // a body that returns has nowhere to go
}

}  // namespace simt
