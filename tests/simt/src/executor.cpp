#include "executor.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "access_log.hpp"
#include "options.hpp"
#include "sanitizer.hpp"

uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

extern "C" {
extern unsigned char __start_simt_shared[] __attribute__((weak));
extern unsigned char __stop_simt_shared[] __attribute__((weak));
}

namespace simt {

Block block;

namespace {

char start_token, end_token, device_fence;
unsigned char* dynamic_memory = nullptr;
thread_local bool this_thread_launches = false;  // other host threads may call the runtime meanwhile

std::size_t static_shared_bytes() {
  return __start_simt_shared == nullptr ? 0
                                        : static_cast<std::size_t>(__stop_simt_shared - __start_simt_shared);
}

void run_kernel(Fiber& fiber) {
  Thread& self = static_cast<Thread&>(fiber);
  for (;;) {
    acquire(&start_token);
    block.launch->call(block.launch->kernel, block.launch->parameters);
    release(&end_token);
    self.state = State::returned;
    ++block.returned;
    lane_returned(self);
    self.yield();
  }
}

// ThreadSanitizer forgets what it knows of freshly mapped pages: what one block left there is no race with
// the next.
void renew_pages(void* p, std::size_t n) {
  if (n != 0) mmap(p, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

class DynamicShared {
 public:
  // Under ThreadSanitizer it is renewed by pages, else guarded to the byte by the allocator.
  DynamicShared(std::size_t bytes, bool by_pages) : bytes_(bytes), by_pages_(by_pages) {
    if (bytes == 0) return;
    void* memory = nullptr;
    if (by_pages) {
      memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) std::abort();
    } else if (posix_memalign(&memory, 128, bytes) != 0) {
      std::abort();
    }
    dynamic_memory = static_cast<unsigned char*>(memory);
  }
  ~DynamicShared() {
    if (bytes_ == 0) return;
    if (by_pages_) {
      munmap(dynamic_memory, bytes_);
    } else {
      std::free(dynamic_memory);
    }
    dynamic_memory = nullptr;
  }
  DynamicShared(const DynamicShared&) = delete;
  DynamicShared& operator=(const DynamicShared&) = delete;

  void renew() const {
    if (by_pages_) renew_pages(dynamic_memory, bytes_);
  }
  void poison() const {
    if (bytes_ != 0) poison_bytes(dynamic_memory, bytes_);
  }

 private:
  std::size_t bytes_;
  bool by_pages_;
};

void grow_pools(unsigned threads) {
  while (block.threads.size() < threads) block.threads.push_back(std::make_unique<Thread>());
  while (block.warps.size() < (threads + 31) / 32) block.warps.push_back(std::make_unique<Warp>());
  // Nothing may allocate while a fiber runs: ThreadSanitizer would see it.
  block.ready_now.reserve(threads);
  block.ready_next.reserve(threads);
}

void reset_block(dim3 shape, bool concurrent) {
  block.returned = 0;
  block.barrier_round = 0;
  for (auto& r : block.reduction) r[0] = 0, r[1] = 1, r[2] = 0;
  block.ready_next.clear();
  const unsigned share = options().identities == Identities::warp ? 32 : 1;  // threads of one identity
  for (unsigned i = 0; i < block.size; ++i) {
    Thread& t = *block.threads[i];
    t.index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
    t.linear = i;
    if (concurrent) {
      t.renew_stack();
      if (i % share == 0) t.renew_identity();
    }
    t.act_as(*block.threads[i / share * share]);
    block.wake(t);
  }
  for (unsigned w = 0; w * 32 < block.size; ++w) {
    Warp& warp = *block.warps[w];
    const unsigned lanes = std::min(32u, block.size - w * 32);
    warp.exited = lanes == 32 ? 0 : ~0u << lanes;  // lanes that were never there
    for (unsigned g = 0; g < warp.groups_used; ++g) warp.groups[g].mask = 0;
    warp.groups_used = 0;
  }
  if (concurrent) block.tokens = std::make_unique<Tokens>();
  if (concurrent) renew_pages(__start_simt_shared, static_shared_bytes());
  if (static_shared_bytes() != 0) poison_bytes(__start_simt_shared, static_shared_bytes());
}

// True if every thread waits at the same block barrier. A thread that has returned will never come, and one
// at another line waits at another barrier: hardware may let both pass, but no program should rely on it.
bool barrier_complete() {
  if (block.returned != 0) return false;
  const Location& where = block.threads[0]->where;
  for (unsigned i = 0; i < block.size; ++i) {
    const Thread& t = *block.threads[i];
    if (t.state != State::at_barrier || !(t.where == where)) return false;
  }
  return true;
}

void open_barrier() {
  access_log::flush();
  ++block.counters->barriers;
  ++block.barrier_round;
  int* r = block.reduction[block.barrier_round & 1];
  r[0] = 0, r[1] = 1, r[2] = 0;
  for (unsigned i = 0; i < block.size; ++i) block.wake(*block.threads[i]);
}

void order_round() {
  auto& round = block.ready_now;
  const auto by_index = [](const Thread* a, const Thread* b) { return a->linear < b->linear; };
  switch (options().order) {
    case Order::forward:
      if (!std::is_sorted(round.begin(), round.end(), by_index))
        std::sort(round.begin(), round.end(), by_index);
      break;
    case Order::reverse:
      std::sort(round.begin(), round.end(), [&](auto a, auto b) { return by_index(b, a); });
      break;
    case Order::random:
      block.random.shuffle(round);
      break;
  }
}

bool run_block() {
  for (;;) {
    if (block.ready_next.empty()) {
      if (block.returned == block.size) break;
      if (!barrier_complete()) {
        report_fault(cudaErrorLaunchTimeout, "", {});  // the report says who waits where
        return false;
      }
      open_barrier();
    }
    block.ready_now.swap(block.ready_next);
    block.ready_next.clear();
    order_round();
    for (Thread* t : block.ready_now) {
      block.running = t;
      threadIdx = t->index;
      t->resume();
      block.running = nullptr;
      if (block.faulted) return false;
    }
  }
  access_log::flush();
  return true;
}

std::vector<std::size_t> block_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = options().order == Order::reverse ? count - 1 - i : i;
  if (options().order == Order::random) block.random.shuffle(order);
  return order;
}

}  // namespace

Thread::Thread() : Fiber(&run_kernel) {}

bool in_kernel() {
  return this_thread_launches && block.running != nullptr;
}

cudaError_t run_grid(const Grid& grid) {
  const bool concurrent = under_tsan() && options().concurrent_blocks;
  block.size = grid.block.x * grid.block.y * grid.block.z;
  const Unwatched unwatched;  // what the executor itself allocates; CUDA threads are watched
  block.launch = &grid;
  this_thread_launches = true;
  block.faulted = false;
  block.random = Random(next_launch_seed());
  block.counters = &begin_launch(grid);
  grow_pools(block.size);
  gridDim = grid.grid;
  blockDim = grid.block;
  const DynamicShared dynamic(grid.dynamic_bytes, concurrent);

  const std::size_t count = std::size_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  for (const std::size_t i : block_order(count)) {
    blockIdx = {static_cast<unsigned>(i % grid.grid.x), static_cast<unsigned>(i / grid.grid.x % grid.grid.y),
                static_cast<unsigned>(i / grid.grid.x / grid.grid.y)};
    if (concurrent) dynamic.renew();
    reset_block(grid.block, concurrent);
    dynamic.poison();
    // Each block comes after the launch; after the block before it only if blocks run in a row.
    release(&start_token);
    if (!run_block()) {
      for (auto& t : block.threads) t->restart();
      break;
    }
    if (!concurrent) acquire(&end_token);
  }
  acquire(&end_token);
  Fiber::release_old_identities();
  block.launch = nullptr;
  this_thread_launches = false;
  return block.faulted ? block.fault : cudaSuccess;
}

void fence(Scope scope) {
  // CUDA orders a fence with what another thread's fence sees. Here: with every later fence of that scope.
  char* token = scope == Scope::block ? &block.tokens->fence : &device_fence;
  acquire(token);
  release(token);
}

void* dynamic_shared() {
  return dynamic_memory;
}

}  // namespace simt
