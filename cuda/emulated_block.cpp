#include "cuda/emulated_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>

#include "cuda/fiber.h"

constinit thread_local uint3 threadIdx = {}, blockIdx = {};
constinit thread_local dim3 blockDim = {}, gridDim = {};

namespace osprey::emulation {
namespace {

enum class Wait : unsigned char { none, block, warp, trade, vote, finished };

void work();
using Worker = StackFiber<work>;

struct Thread {  // of CUDA
  Wait wait;
  unsigned lanes;   // of the warp that it waits for
  unsigned source;  // the lane whose offer it asks for
  Offer offer;      // and, once it may go on, what it got
  Worker* worker;   // whose stack it holds while it waits
};

// The block that a host thread runs. Threads run in turn, each until it waits or ends: a round. When none can
// go on, barriers that are complete are released, and the next round begins. A thread that ends leaves its
// stack to the next that starts, so only threads that wait cost a stack.
struct Block {
  const std::function<void()>* body = nullptr;
  const unsigned* order = nullptr;  // in which threads run
  unsigned size = 0;
  Thread threads[kMostThreads];
  uint3 position[kMostThreads];                               // of threads
  unsigned turn = 0;                                          // where in `order` the round has come to
  unsigned at_block_barrier = 0, in_warps = 0, finished = 0;  // threads that wait, and how
  HostFiber scheduler;
  // Kept for later blocks: those come after this one, so no race can be hidden by it.
  std::vector<std::unique_ptr<Worker>> workers;
  Worker* idle[kMostThreads];
  unsigned idles = 0;
  Worker* current = nullptr;
  bool failed = false;
  Fault fault;
  std::vector<unsigned char> shared;
  char block_start = 0, block_end = 0, block_sync = 0;  // for the race detector
  char warp_sync[kMostThreads / 32] = {};
};

constinit thread_local Block* g_block = nullptr;

// To the race detector a CUDA thread is a thread of its own, so two of a block may share no stack. It is as
// unordered as on the GPU; only start, end and barriers of a block order it.
#if defined(__SANITIZE_THREAD__)
constexpr bool kOneStackPerThread = true;
void publish(char* sync) { __tsan_release(sync); }
void observe(char* sync) { __tsan_acquire(sync); }
#else
constexpr bool kOneStackPerThread = false;
void publish(char*) {}
void observe(char*) {}
#endif

NOT_INSTRUMENTED void fault(Block& b, unsigned thread, std::string what) {
  if (b.failed) return;
  b.failed = true;
  b.fault = {thread, std::move(what)};
}

NOT_INSTRUMENTED void run_thread(Block& b, unsigned thread) {
  threadIdx = b.position[thread];
  observe(&b.block_start);
  try {
    (*b.body)();
  } catch (const std::exception& e) {
    fault(b, thread, e.what());
  }
  publish(&b.block_end);
  b.threads[thread].wait = Wait::finished;
  ++b.finished;
}

// The thread whose turn it is; null at the end of a round.
NOT_INSTRUMENTED Thread* whose_turn(Block& b) {
  while (b.turn < b.size && b.threads[b.order[b.turn]].wait != Wait::none) ++b.turn;
  return b.turn < b.size && !b.failed ? &b.threads[b.order[b.turn]] : nullptr;
}

// The fiber that has to go on. One that has not started takes an idle stack; where none is left the scheduler
// makes one, since to the race detector a fiber comes after all that its maker did.
NOT_INSTRUMENTED Fiber& next_fiber(Block& b) {
  Thread* next = whose_turn(b);
  if (!next) return b.scheduler;
  if (!next->worker) {
    if (b.idles == 0) return b.scheduler;
    next->worker = b.idle[--b.idles];
  }
  b.current = next->worker;
  return *next->worker;
}

// A worker's life: CUDA threads, one after another. A kernel without barriers never leaves the inner loop:
// one stack, no switches.
NOT_INSTRUMENTED void work() {
  for (;;) {
    Block& b = *g_block;
    Worker& self = *b.current;
    Thread* next = nullptr;
    do run_thread(b, b.order[b.turn]);
    while (!kOneStackPerThread && (next = whose_turn(b)) && !next->worker);
    if (!kOneStackPerThread) b.idle[b.idles++] = &self;
    switch_fibers(self, next_fiber(b));
  }
}

// Inline, since the processor mispredicts each return on a stack that has been switched.
[[gnu::always_inline]] NOT_INSTRUMENTED inline Offer wait(Wait kind, unsigned lanes, unsigned source,
                                                          Offer offer) {
  Block& b = *g_block;
  Worker& self = *b.current;
  const unsigned index = b.order[b.turn];
  Thread& thread = b.threads[index];
  thread = {kind, lanes, source, offer, &self};
  ++(kind == Wait::block ? b.at_block_barrier : b.in_warps);
  switch_fibers(self, next_fiber(b));
  threadIdx = b.position[index];
  return thread.offer;
}

// What any of the threads did before a barrier, all of them know after it. That is settled here, before the
// first goes on: were each to learn it only when its turn comes, it would also learn what the first ones did
// after the barrier, and races would be missed.
NOT_INSTRUMENTED void order_memory([[maybe_unused]] Block& b, [[maybe_unused]] unsigned first,
                                   [[maybe_unused]] unsigned last, [[maybe_unused]] unsigned lanes,
                                   [[maybe_unused]] char* sync) {
#if defined(__SANITIZE_THREAD__)
  for (unsigned t = first; t < last; ++t)
    if (lanes >> (t - first) % 32 & 1) become(*b.threads[t].worker), publish(sync);
  for (unsigned t = first; t < last; ++t)
    if (lanes >> (t - first) % 32 & 1) become(*b.threads[t].worker), observe(sync);
  become(b.scheduler);
#endif
}

NOT_INSTRUMENTED bool release_block(Block& b) {
  if (b.at_block_barrier < b.size) return false;
  order_memory(b, 0, b.size, ~0u, &b.block_sync);
  uint64_t votes = 0;
  for (unsigned t = 0; t < b.size; ++t) votes += b.threads[t].offer.low;
  for (unsigned t = 0; t < b.size; ++t) b.threads[t].offer.low = votes, b.threads[t].wait = Wait::none;
  b.at_block_barrier = 0;
  return true;
}

// Gives each of `group`, lanes of a warp that have all come, what it asked for.
NOT_INSTRUMENTED void hand_out(Block& b, unsigned first, unsigned group, Wait kind) {
  Offer offers[32];
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (group >> lane & 1) {
      offers[lane] = b.threads[first + lane].offer;
      votes |= unsigned(offers[lane].low != 0) << lane;
    }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(group >> lane & 1)) continue;
    Thread& t = b.threads[first + lane];
    if (kind == Wait::vote) t.offer.low = votes;
    if (kind == Wait::trade) {
      if (!(group >> t.source & 1))
        fault(b, first + lane, fmt::format("asks for the value of lane {}, which takes no part", t.source));
      else
        t.offer = offers[t.source];
    }
    t.wait = Wait::none;
    --b.in_warps;
  }
}

// The lanes of a warp may wait in several groups; a group goes on when all its lanes have come, to the same
// thing. A trade or vote orders no memory, as on the GPU.
NOT_INSTRUMENTED bool release_warp(Block& b, unsigned first) {
  const unsigned lanes = std::min(b.size - first, 32u);
  const unsigned present = lanes == 32 ? ~0u : (1u << lanes) - 1;
  unsigned left = 0;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    const Wait w = b.threads[first + lane].wait;
    left |= unsigned(w == Wait::warp || w == Wait::trade || w == Wait::vote) << lane;
  }
  bool any = false;
  while (left != 0) {
    const unsigned leader = unsigned(__builtin_ctz(left));
    const Thread& of = b.threads[first + leader];
    const Wait kind = of.wait;
    const unsigned wanted = of.lanes & present;
    unsigned group = 0;
    for (unsigned lane = leader; lane < lanes; ++lane) {
      const Thread& t = b.threads[first + lane];
      group |= unsigned(t.wait == kind && (t.lanes & present) == wanted) << lane;
    }
    left &= ~group & ~(1u << leader);
    if (group != wanted) continue;
    if (kind == Wait::warp) order_memory(b, first, first + lanes, group, &b.warp_sync[first / 32]);
    hand_out(b, first, group, kind);
    any = true;
  }
  return any;
}

NOT_INSTRUMENTED bool release(Block& b) {
  bool any = release_block(b);
  for (unsigned first = 0; b.in_warps > 0 && first < b.size; first += 32) any |= release_warp(b, first);
  return any;
}

// Nothing can go on: if not all have finished, some wait for threads that will never come.
NOT_INSTRUMENTED void check_nobody_waits(Block& b) {
  if (b.finished == b.size) return;
  unsigned absent = 0, in_warp = 0;
  for (unsigned t = b.size; t-- > 0;) {
    if (b.threads[t].wait == Wait::finished) absent = t;
    if (b.threads[t].wait != Wait::finished && b.threads[t].wait != Wait::block) in_warp = t;
  }
  if (b.finished > 0) {
    fault(b, absent,
          fmt::format("ended, but a barrier was reached by only {} of {} threads", b.size - b.finished,
                      b.size));
    return;
  }
  fault(b, in_warp,
        fmt::format("waits at a {} for lanes {:#010x}, of which some wait elsewhere",
                    b.threads[in_warp].wait == Wait::warp ? "warp barrier" : "shuffle or vote",
                    b.threads[in_warp].lanes));
}

// After a fault: what the threads that still wait have done lies in the past of the next block, too.
NOT_INSTRUMENTED void abandon_waiting([[maybe_unused]] Block& b) {
#if defined(__SANITIZE_THREAD__)
  for (unsigned t = 0; t < b.size; ++t)
    if (b.threads[t].wait != Wait::finished) become(*b.threads[t].worker), publish(&b.block_end);
  become(b.scheduler);
#endif
}

void make_worker(Block& b) {
  b.workers.push_back(std::make_unique<Worker>(b.workers.size()));
  b.idle[b.idles++] = b.workers.back().get();
}

NOT_INSTRUMENTED void reset_threads(Block& b) {
  while (kOneStackPerThread && b.workers.size() < b.size) make_worker(b);
  for (unsigned t = 0; t < b.size; ++t) {
    b.threads[t].wait = Wait::none;
    b.threads[t].worker = kOneStackPerThread ? b.workers[t].get() : nullptr;
  }
}

NOT_INSTRUMENTED void run_block(Block& b) {
  reset_threads(b);
  std::fill(b.shared.begin(), b.shared.end(), 0xFF);
  b.at_block_barrier = b.in_warps = b.finished = 0;
  b.failed = false;
  publish(&b.block_start);
  do {
    b.turn = 0;
    while (const Thread* next = whose_turn(b)) {
      if (!next->worker && b.idles == 0) make_worker(b);
      switch_fibers(b.scheduler, next_fiber(b));
    }
  } while (!b.failed && release(b));
  if (!b.failed) check_nobody_waits(b);
  if (b.failed) abandon_waiting(b);
  observe(&b.block_end);
}

}  // namespace

NOT_INSTRUMENTED unsigned lane_of_thread() { return g_block->order[g_block->turn] % 32; }
NOT_INSTRUMENTED void* dynamic_shared_bytes() { return g_block->shared.data(); }
NOT_INSTRUMENTED unsigned block_barrier(bool predicate) {
  return unsigned(wait(Wait::block, 0, 0, {predicate, 0}).low);
}
NOT_INSTRUMENTED void check_named(unsigned lanes) {
  if (!(lanes >> lane_of_thread() & 1))
    throw std::logic_error(fmt::format("waits for lanes {:#010x}, of which it is none", lanes));
}
NOT_INSTRUMENTED void warp_barrier(unsigned lanes) {
  check_named(lanes);
  wait(Wait::warp, lanes, 0, {});
}
NOT_INSTRUMENTED Offer trade(unsigned lanes, Offer offer, unsigned source) {
  check_named(lanes);
  return wait(Wait::trade, lanes, source, offer);
}
NOT_INSTRUMENTED unsigned ballot(unsigned lanes, bool predicate) {
  check_named(lanes);
  return unsigned(wait(Wait::vote, lanes, 0, {predicate, 0}).low);
}

void prepare_blocks(dim3 grid, dim3 block, size_t shared_bytes, const std::vector<unsigned>& thread_order,
                    const std::function<void()>& body) {
  static thread_local Block of_host_thread;
  Block& b = of_host_thread;
  g_block = &b;
  gridDim = grid;
  blockDim = block;
  b.body = &body;
  b.order = thread_order.data();
  b.size = unsigned(thread_order.size());
  b.shared.resize(shared_bytes);
  unsigned t = 0;
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x) b.position[t++] = {x, y, z};
}

std::optional<Fault> run_block(uint3 block) {
  Block& b = *g_block;
  blockIdx = block;
  run_block(b);
  if (!b.failed) return std::nullopt;
  b.workers.clear();  // the stacks of threads that wait are of no more use
  b.idles = 0;
  return std::move(b.fault);
}

}  // namespace osprey::emulation
