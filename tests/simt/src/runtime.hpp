// The stand-in runtime's state. A call becomes an Op with predecessors (stream order, events, the legacy
// stream's rules) or, while a stream is captured, a graph node; the options say when an Op runs. All of it is
// guarded by one lock.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "random.hpp"
#include "simt/simt.hpp"

namespace simt {

struct HostRange {
  const void* begin;
  std::size_t bytes;
};

// What an operation does: the part that a stream and a graph share. Everything it needs is frozen inside.
class Work {
 public:
  virtual ~Work() = default;
  virtual cudaGraphNodeType type() const = 0;
  virtual void run() const = 0;
  // Host memory that nobody may touch while the work is queued.
  virtual std::vector<HostRange> host_ranges() const { return {}; }
  // May cudaGraphExecUpdate put `other` in its place?
  virtual bool replaceable_by(const Work& other) const { return type() == other.type(); }
};
using WorkRef = std::shared_ptr<const Work>;

class FunctionWork : public Work {
 public:
  FunctionWork(cudaGraphNodeType type, std::function<void()> f, std::vector<HostRange> ranges = {})
      : type_(type), f_(std::move(f)), ranges_(std::move(ranges)) {}
  cudaGraphNodeType type() const override { return type_; }
  void run() const override {
    if (f_) f_();
  }
  std::vector<HostRange> host_ranges() const override { return ranges_; }

 private:
  cudaGraphNodeType type_;
  std::function<void()> f_;
  std::vector<HostRange> ranges_;
};

// Work whose code belongs to the user: the lock is open while it runs.
class HostWork : public Work {
 public:
  HostWork(cudaHostFn_t f, void* user) : f_(f), user_(user) {}
  cudaGraphNodeType type() const override { return cudaGraphNodeTypeHost; }
  void run() const override;

 private:
  cudaHostFn_t f_;
  void* user_;
};

class KernelWork : public Work {
 public:
  KernelWork(const cudaLaunchConfig_t& config, const void* kernel, void** parameters,
             const Signature& signature);
  cudaGraphNodeType type() const override { return cudaGraphNodeTypeKernel; }
  void run() const override;
  bool replaceable_by(const Work& other) const override;
  // The same kernel with other parameters, as graph updates want it.
  std::shared_ptr<KernelWork> with(const cudaKernelNodeParams& params) const;
  cudaKernelNodeParams params() const;

 private:
  cudaLaunchConfig_t config_;
  const void* kernel_;
  Signature signature_;
  std::shared_ptr<unsigned char> storage_;
  mutable std::vector<void*> pointers_;
};

struct Op;
using OpRef = std::shared_ptr<Op>;
struct Op {
  WorkRef work;
  std::vector<OpRef> after;
  int device = 0;
  void* identity = nullptr;  // ThreadSanitizer's, of its stream or graph branch
  bool done = false;
  bool running = false;
  char submitted = 0;  // token: what the host did before the call
  char finished = 0;   // token: what the work did
};

struct Allocation {
  std::size_t bytes;
  enum class Kind { device, pinned, managed } kind;
  int device;
  void* block;         // what the allocator gave
  bool usable = true;  // false between a stream-ordered call and its turn in the stream
  bool guarded = false;
};

struct Device {
  cudaError_t sticky = cudaSuccess;  // the context is dead
  CUstream_st* legacy = nullptr;
  std::size_t used = 0;
  std::set<int> peers;  // whose memory it may touch
};

class Lock {  // invisible to ThreadSanitizer, which would take it for synchronisation by the program
 public:
  void lock() {
    for (int free = 0; !state_.compare_exchange_weak(free, 1, std::memory_order_acquire); free = 0)
      state_.wait(1);
  }
  void unlock() {
    state_.store(0, std::memory_order_release);
    state_.notify_one();
  }

 private:
  std::atomic<int> state_{0};
};

struct Runtime {
  Lock lock;
  std::thread::id owner;  // of the lock, so that a call from inside a kernel is noticed
  std::vector<Device> devices;
  std::set<CUstream_st*> streams;
  std::set<CUevent_st*> events;
  std::vector<OpRef> pending;
  std::map<const char*, Allocation> memory;
  Random random{1};
  std::atomic<unsigned> finished_host_work{0};  // counts, so that others can wait for it

  Device& current();  // the calling thread's
};

Runtime& runtime();
int current_device();

// ---- the engine (engine.cpp)
cudaError_t submit(CUstream_st* stream, WorkRef work, const std::vector<OpRef>& extra = {});
OpRef add_op(CUstream_st& stream, WorkRef work, std::vector<OpRef> after, void* identity);
void wait_for(const OpRef& op);  // runs what is needed, and orders it before what the caller does next
void drain(int device);          // everything on a device; -1 for all
void make_progress();            // random streams: something may run now
void kill_device(int device, cudaError_t error);
CUstream_st* resolve(cudaStream_t stream);  // nullptr if there is no such stream
void* new_identity();
void drop_identity(void* identity);

// ---- memory (memory.cpp)
Allocation* find_allocation(const void* p, const char** base = nullptr);
bool inside_device_memory(const void* p, std::size_t n);
bool is_pinned(const void* p);
void open_device_memory(int device);
void close_device_memory(int device);
std::string broken_guards();  // repairs them, too

// ---- errors and calls (call.cpp)
cudaError_t remember(cudaError_t error);

// Every API function runs inside this: lock, count, faults of the plan, sticky errors, the thread's last
// error.
enum class Dead { refuse, run_anyway };  // what to do on a dead device; run_anyway is for releasing things
cudaError_t call(const char* name, const std::function<cudaError_t()>& body, Dead dead = Dead::refuse);

}  // namespace simt

// The handles that CUDA's headers leave opaque.
namespace simt {
struct Capture;
}

struct CUstream_st {
  int device = 0;
  bool blocking = true;
  unsigned flags = 0;
  int priority = 0;
  simt::OpRef last;
  void* identity = nullptr;
  simt::Capture* capture = nullptr;
  std::vector<CUgraphNode_st*> captured;  // what the next captured node comes after
};

struct CUevent_st {
  int device = 0;
  bool timing = true;
  simt::OpRef at;
  simt::Capture* capture = nullptr;  // set while it marks a place in a capture
  bool was_captured = false;         // its last record belongs to a graph
  std::vector<CUgraphNode_st*> captured;
};

struct CUgraphNode_st {
  simt::WorkRef work;
  std::vector<CUgraphNode_st*> after;
  CUgraph_st* graph = nullptr;
};
