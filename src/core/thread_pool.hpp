// The library's threads: a caller and its helpers share out the tasks of one loop.
//
// A run costs well under a microsecond while the helpers are hot: they spin for a bounded time after a run,
// then sleep. Nobody waits for a helper that has no task: the caller works too, and when other programs have
// taken the helpers' cores it simply does all of the tasks.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace gpunn {

// Cores this process may run on (its affinity mask), at least 1.
int available_cores();

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // the caller and threads - 1 helpers; throws UsageError if threads < 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls f(task, worker) once for each task in [0, tasks) and returns when all are done. At one time each
  // worker in [0, threads()) runs one task; the caller is worker 0. Which worker gets a task is not
  // determined: a result that must not depend on the number of threads may use `worker` only to choose
  // scratch memory. If tasks throw, those not yet begun are dropped and one of the exceptions is rethrown.
  // Several threads may call run(): they take turns. Calling it from inside a task throws UsageError.
  template <class F>
  void run(int tasks, F&& f) {
    using Function = std::remove_reference_t<F>;
    if (tasks <= 0) return;
    const InTask guard;  // throws when this thread is in a task already
    if (tasks == 1 || threads_ == 1) {
      for (int task = 0; task < tasks; ++task) f(task, 0);
    } else {
      run_job({.tasks = tasks,
               .call = [](void* context, int task,
                          int worker) { (*static_cast<Function*>(context))(task, worker); },
               .context = const_cast<void*>(static_cast<const void*>(std::addressof(f)))});
    }
  }

 private:
  struct Job {
    int tasks = 0;
    void (*call)(void* context, int task, int worker) = nullptr;
    void* context = nullptr;
  };

  // Marks this thread as inside a task for its lifetime.
  struct InTask {
    InTask();
    ~InTask();
    InTask(const InTask&) = delete;
    InTask& operator=(const InTask&) = delete;
  };

  void run_job(const Job& job);
  void work(int worker);
  void wait_until_done(int tasks);
  bool spin_for_tasks() const;
  void sleep_until_tasks();
  void helper(int worker);
  void stop_helpers();

  const int threads_;
  const int spin_microseconds_;

  // A task is claimed by counting `unclaimed_` down. Only then may job_ be read: the claim keeps its run from
  // ending. So a helper that comes late finds either nothing to claim, or a task of a newer run, which it may
  // do as well.
  Job job_;
  std::exception_ptr failure_;
  std::atomic_flag failed_;
  alignas(64) std::atomic<int> unclaimed_{0};
  alignas(64) std::atomic<int> done_{0};
  std::atomic<bool> caller_sleeps_{false};
  alignas(64) std::atomic<int> epoch_{0};  // changes with every run: what sleeping helpers wait on
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  alignas(64) std::mutex turn_;
  std::vector<std::thread> helpers_;
};

}  // namespace gpunn
