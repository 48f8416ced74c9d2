#include "src/core/thread_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"
#include "src/core/thread.hpp"

namespace gpunn {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough to bridge the serial parts between two parallel loops of a step, short enough not to burn a
// core for long after the last one.
constexpr int kSpinMicroseconds = 100;
// With more threads than cores a spinning thread holds the core that a working one needs.
constexpr int kCrowdedSpinMicroseconds = 2;
constexpr int kPausesPerClock = 32;  // reading the clock costs as much as a few pauses

thread_local bool in_task = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or the time is up; returns the last done().
template <class Done>
bool spin(int microseconds, Done done) {
  if (done()) return true;
  const auto until = Clock::now() + std::chrono::microseconds(microseconds);
  do {
    for (int i = 0; i < kPausesPerClock; ++i) {
      pause();
      if (done()) return true;
    }
  } while (Clock::now() < until);
  return false;
}

}  // namespace

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // more than 1,024 cores
}

ThreadPool::InTask::InTask() {
  if (in_task) throw UsageError("ThreadPool::run called from inside a task");
  in_task = true;
}

ThreadPool::InTask::~InTask() {
  in_task = false;
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads),
      spin_microseconds_(threads > available_cores() ? kCrowdedSpinMicroseconds : kSpinMicroseconds) {
  if (threads < 1) throw UsageError(cat("ThreadPool: ", threads, " threads"));
  try {
    for (int worker = 1; worker < threads; ++worker) {
      helpers_.push_back(start_thread(cat("gpunn-", worker), [this, worker] { helper(worker); }));
    }
  } catch (...) {
    stop_helpers();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop_helpers();
}

void ThreadPool::stop_helpers() {
  stopping_ = true;
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& thread : helpers_) thread.join();
}

void ThreadPool::run_job(const Job& job) {
  const std::lock_guard lock(turn_);
  job_ = job;
  failure_ = nullptr;
  failed_.clear(std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  unclaimed_.store(job.tasks, std::memory_order_release);
  // Either this sees the sleeper, or the sleeper sees the new epoch (both sequentially consistent).
  epoch_.fetch_add(1);
  for (int wake = std::min(sleepers_.load(), job.tasks - 1); wake > 0; --wake) epoch_.notify_one();

  work(0);
  wait_until_done(job.tasks);
  if (failed_.test(std::memory_order_relaxed)) {
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

// Claims and does tasks until none is left, then reports them all at once.
void ThreadPool::work(int worker) {
  int finished = 0;
  int left = unclaimed_.load(std::memory_order_relaxed);
  while (left > 0) {
    if (!unclaimed_.compare_exchange_weak(left, left - 1, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
      continue;
    }
    ++finished;
    try {
      job_.call(job_.context, job_.tasks - left, worker);
    } catch (...) {
      if (!failed_.test_and_set(std::memory_order_relaxed)) failure_ = std::current_exception();
      finished += unclaimed_.exchange(0, std::memory_order_relaxed);
    }
    left = unclaimed_.load(std::memory_order_relaxed);
  }
  if (finished == 0) return;
  done_.fetch_add(finished);  // after this, the job may be gone
  if (worker != 0 && caller_sleeps_.load()) done_.notify_one();
}

void ThreadPool::wait_until_done(int tasks) {
  if (spin(spin_microseconds_, [&] { return done_.load(std::memory_order_acquire) == tasks; })) return;
  caller_sleeps_ = true;
  for (int done = done_.load(); done != tasks; done = done_.load()) done_.wait(done);
  caller_sleeps_ = false;
}

bool ThreadPool::spin_for_tasks() const {
  return spin(spin_microseconds_, [this] {
    return unclaimed_.load(std::memory_order_relaxed) > 0 || stopping_.load(std::memory_order_relaxed);
  });
}

void ThreadPool::sleep_until_tasks() {
  const int epoch = epoch_.load();
  if (unclaimed_.load() > 0 || stopping_.load()) return;
  sleepers_.fetch_add(1);
  epoch_.wait(epoch);
  sleepers_.fetch_sub(1);
}

void ThreadPool::helper(int worker) {
  in_task = true;  // all that a helper does is tasks
  while (!stopping_.load()) {
    if (spin_for_tasks()) {
      work(worker);
    } else {
      sleep_until_tasks();
    }
  }
}

}  // namespace gpunn
