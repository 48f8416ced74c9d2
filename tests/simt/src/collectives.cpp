// Block barriers and warp collectives: who waits for whom, and what the mask promised.
#include <bit>
#include <cstdlib>

#include "access_log.hpp"
#include "executor.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

unsigned lane_of(const Thread& t) {
  return t.linear & 31;
}

MaskGroup& group_of(Warp& warp, unsigned mask) {
  MaskGroup* idle = nullptr;
  for (unsigned i = 0; i < warp.groups_used; ++i) {
    MaskGroup& g = warp.groups[i];
    if (g.mask == mask) return g;
    if (g.arrived == 0 && g.unread == 0) idle = &g;
  }
  MaskGroup& g = warp.groups_used < warp.groups.size() ? warp.groups[warp.groups_used++] : *idle;
  g.mask = mask;
  g.arrived = g.unread = g.round = 0;
  return g;
}

// Everyone has come: those who wait go on in the next round.
void complete(MaskGroup& g, const Thread& member) {
  Counters& counters = *block.counters;
  ++(g.kind == Collective::barrier ? counters.warp_barriers : counters.shuffles);
  const unsigned first = member.linear & ~31u;
  for (unsigned rest = g.arrived; rest != 0; rest &= rest - 1) {
    Thread& t = *block.threads[first + static_cast<unsigned>(std::countr_zero(rest))];
    if (t.state == State::at_collective) block.wake(t);
  }
  g.lanes[g.round & 1].present = g.arrived;
  g.unread = static_cast<unsigned>(std::popcount(g.arrived));
  g.arrived = 0;
  ++g.round;
}

// Lanes of the mask that have returned are not waited for.
bool is_complete(const MaskGroup& g, const Warp& warp) {
  return ((g.arrived | warp.exited) & g.mask) == g.mask;
}

const Lanes& meet(unsigned mask, std::uint64_t value, Collective kind, const Location& at) {
  Thread& self = *block.running;
  Warp& warp = block.warp_of(self);
  const unsigned bit = 1u << lane_of(self);
  if (!(mask & bit)) fail("the calling lane is not in the mask it passes", at);

  MaskGroup& g = group_of(warp, mask);
  if (g.arrived == 0) {
    g.kind = kind;
    g.where = at;
  } else if (g.kind != kind || (kind != Collective::barrier && !(g.where == at))) {
    // __syncwarp may be met from different lines; the others must be the same instruction for all.
    fail("lanes of one mask meet at different warp collectives", at);
  }
  const unsigned round = g.round & 1;
  Lanes& lanes = g.lanes[round];
  lanes.value[lane_of(self)] = value;
  g.arrived |= bit;
  self.where = at;
  self.mask = mask;
  // Shuffles and votes order no memory: only __syncwarp does.
  char* token = &block.tokens->group[self.linear / 32][&g - warp.groups.data()][round];
  if (kind == Collective::barrier) release(token);
  if (is_complete(g, warp)) {
    complete(g, self);
  } else {
    self.state = State::at_collective;
    self.yield();
  }
  if (kind == Collective::barrier) acquire(token);
  --g.unread;
  return lanes;
}

}  // namespace

int block_barrier(int predicate, Reduce reduce, const Location& at) {
  Thread& self = *block.running;
  // Two tokens in turn: with one, a fast thread's release for the next barrier would hide races across this
  // one.
  const unsigned round = block.barrier_round & 1;
  int* result = block.reduction[round];
  result[0] += predicate != 0;
  result[1] &= predicate != 0;
  result[2] |= predicate != 0;
  self.where = at;
  self.state = State::at_barrier;
  release(&block.tokens->barrier[round]);
  self.yield();
  acquire(&block.tokens->barrier[round]);
  return result[static_cast<int>(reduce)];
}

void warp_barrier(unsigned mask, const Location& at) {
  meet(mask, 0, Collective::barrier, at);
}

const Lanes& exchange(unsigned mask, std::uint64_t value, Collective kind, const Location& at) {
  return meet(mask, value, kind, at);
}

void lane_returned(Thread& thread) {
  Warp& warp = block.warp_of(thread);
  warp.exited |= 1u << lane_of(thread);
  for (unsigned i = 0; i < warp.groups_used; ++i) {
    MaskGroup& g = warp.groups[i];
    if (g.arrived != 0 && is_complete(g, warp)) complete(g, thread);
  }
}

unsigned lane() {
  return lane_of(*block.running);
}

// Any set of live lanes that holds the caller is a legal answer, so a random order gives a random one.
unsigned active_mask() {
  const unsigned live = ~block.warp_of(*block.running).exited;
  const unsigned chosen = options().order == Order::random ? static_cast<unsigned>(block.random.next()) : ~0u;
  return (live & chosen) | 1u << lane();
}

void* warp_scratch(std::size_t bytes) {
  if (bytes > kWarpScratch) fail("a matrix tile is larger than the executor's scratch memory", {});
  return block.warp_of(*block.running).scratch;
}

void note_atomic(const void* address, unsigned bytes) {
  if (!in_kernel()) return;
  ++block.counters->atomics;
  access_log::atomic(address, bytes);
}

}  // namespace simt
