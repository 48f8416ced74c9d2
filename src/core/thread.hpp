// Starts threads that stay out of the application's way.
#pragma once

#include <pthread.h>

#include <csignal>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "gpunn/error.hpp"

namespace gpunn {

// A std::thread with a name (at most 15 characters) that never receives the signals an application handles:
// Ctrl-C arrives on the application's own threads. Throws std::system_error when the system has no thread
// left.
template <class F>
std::thread start_thread(const std::string& name, F&& f) try {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE}) {
    sigaddset(&blocked, signal);
  }
  struct Restore {
    sigset_t& mask;
    ~Restore() { pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  };
  pthread_sigmask(SIG_BLOCK, &blocked, &before);  // the new thread inherits the mask
  const Restore restore{before};
  std::thread thread(std::forward<F>(f));
  pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
  return thread;
} catch (const std::system_error& error) {
  throw Error("the system refused to start thread " + name + ": " + error.what());
}

}  // namespace gpunn
