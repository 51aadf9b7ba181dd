#include "cuda/emulation.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
// The emulation's own data goes from fiber to fiber in an order that the race detector is not told of.
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define NOT_INSTRUMENTED __attribute__((no_sanitize("thread")))
#else
#define NOT_INSTRUMENTED
#endif

constinit thread_local uint3 threadIdx, blockIdx;
constinit thread_local dim3 blockDim, gridDim;

namespace osprey::emulation {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kGuardBytes = 4096;

Order g_order = Order::forward;
unsigned g_seed = 1;

enum class Wait { none, block, warp, finished };

struct Thread {  // of CUDA
  Wait wait = Wait::none;
  unsigned lanes = 0;  // of the warp barrier it waits at
};

// A host stack; below it lies a page that may not be touched, so that a kernel's overflow stops at once.
class Stack {
 public:
  Stack()
      : memory_(mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_, kGuardBytes, PROT_NONE);
  }
  ~Stack() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(start(), kStackBytes);  // of the frames that were never left
#endif
    munmap(memory_, kGuardBytes + kStackBytes);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  char* start() const { return static_cast<char*>(memory_) + kGuardBytes; }

 private:
  void* memory_;
};

// Runs CUDA threads one after another until one of them waits, which then keeps this stack. Workers are kept
// for later blocks: those come after this one, so no race can be hidden by it.
struct Worker {
  ucontext_t context;
  Stack stack;
  unsigned thread = 0;
  void* asan_stack = nullptr;
  void* tsan_fiber = nullptr;

  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
};

struct Block {
  const std::function<void()>* body = nullptr;
  std::vector<Thread> threads;
  std::vector<unsigned> order;  // in which threads start
  size_t started = 0;
  std::vector<std::unique_ptr<Worker>> workers;
  size_t busy_workers = 0;     // the first ones
  std::vector<Worker*> owner;  // of each thread that waits
  Worker* current = nullptr;
  ucontext_t scheduler;
  void* scheduler_asan = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_stack_size = 0;
  void* scheduler_tsan = nullptr;
  bool failed = false;
  unsigned failed_thread = 0;
  std::string failure;
  std::vector<unsigned char> shared;
  std::vector<std::array<unsigned char, 16>> slots;
  char block_start = 0, block_end = 0, block_sync = 0;
  std::array<char, 32> warp_sync{};
};

thread_local Block b;

// To the race detector a CUDA thread is a thread of its own, so two of a block may share no stack. It is as
// unordered as on the GPU ("no sync"); only start, end and barriers of a block order it.
#if defined(__SANITIZE_THREAD__)
constexpr bool kOneStackPerThread = true;
void become(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
void publish(char* sync) { __tsan_release(sync); }
void observe(char* sync) { __tsan_acquire(sync); }
#else
constexpr bool kOneStackPerThread = false;
void become(void*) {}
void publish(char*) {}
void observe(char*) {}
#endif

NOT_INSTRUMENTED void enter(unsigned thread) {
  b.current->thread = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

NOT_INSTRUMENTED void switch_to_worker(Worker& w) {
  b.current = &w;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&b.scheduler_asan, w.stack.start(), kStackBytes);
#endif
  become(w.tsan_fiber);
  swapcontext(&b.scheduler, &w.context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(b.scheduler_asan, nullptr, nullptr);
#endif
}

NOT_INSTRUMENTED void switch_to_scheduler(Worker& w) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&w.asan_stack, b.scheduler_stack, b.scheduler_stack_size);
#endif
  become(b.scheduler_tsan);
  swapcontext(&w.context, &b.scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(w.asan_stack, &b.scheduler_stack, &b.scheduler_stack_size);
#endif
}

NOT_INSTRUMENTED void fault(unsigned thread, const char* what) {
  b.failed = true;
  b.failed_thread = thread;
  b.failure = what;
}

NOT_INSTRUMENTED void run_thread(unsigned thread) {
  enter(thread);
  observe(&b.block_start);
  try {
    (*b.body)();
  } catch (const std::exception& e) {
    fault(thread, e.what());
  }
  publish(&b.block_end);
  b.threads[thread].wait = Wait::finished;
}

NOT_INSTRUMENTED void work() {
  Worker& w = *b.current;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &b.scheduler_stack, &b.scheduler_stack_size);
#endif
  for (;;) {
    // A kernel without barriers never leaves this loop: one stack, no switches.
    do run_thread(b.order[b.started++]);
    while (!kOneStackPerThread && b.started < b.order.size() && !b.failed);
    switch_to_scheduler(w);
  }
}

Worker::Worker() {
  getcontext(&context);
  context.uc_stack.ss_sp = stack.start();
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, work, 0);
#if defined(__SANITIZE_THREAD__)
  tsan_fiber = __tsan_create_fiber(0);
#endif
}

Worker::~Worker() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_fiber);
#endif
}

NOT_INSTRUMENTED void start_worker() {
  if (b.busy_workers == b.workers.size()) b.workers.push_back(std::make_unique<Worker>());
  switch_to_worker(*b.workers[b.busy_workers++]);
}

NOT_INSTRUMENTED void wait(Wait kind, unsigned lanes) {
  Worker& w = *b.current;
  const unsigned thread = w.thread;
  b.threads[thread] = {kind, lanes};
  b.owner[thread] = &w;
  switch_to_scheduler(w);
  enter(thread);
}

// Lets the threads [first, last) of `lanes` go on, all of which wait at one barrier. What any of them did
// before it, all of them know after it. That is settled here, before the first goes on: were each to learn it
// only when its turn comes, it would also learn what the first ones did after the barrier, and races would be
// missed.
NOT_INSTRUMENTED void release(unsigned first, unsigned last, unsigned lanes, [[maybe_unused]] char* sync) {
  auto released = [&](unsigned t) { return lanes >> (t - first) % 32 & 1; };
#if defined(__SANITIZE_THREAD__)
  for (unsigned t = first; t < last; ++t)
    if (released(t)) become(b.owner[t]->tsan_fiber), publish(sync);
  for (unsigned t = first; t < last; ++t)
    if (released(t)) become(b.owner[t]->tsan_fiber), observe(sync);
  become(b.scheduler_tsan);
#endif
  for (unsigned t = first; t < last; ++t)
    if (released(t)) b.threads[t].wait = Wait::none;
}

NOT_INSTRUMENTED bool release_block() {
  for (const Thread& t : b.threads)
    if (t.wait != Wait::block) return false;
  release(0, unsigned(b.threads.size()), ~0u, &b.block_sync);
  return true;
}

// The lanes of a warp may wait in several groups; a group goes on when all its lanes have come.
NOT_INSTRUMENTED bool release_warp(unsigned first) {
  const unsigned last = std::min<unsigned>(first + 32, unsigned(b.threads.size()));
  const unsigned present = last - first == 32 ? ~0u : (1u << (last - first)) - 1;
  bool any = false;
  for (unsigned t = first; t < last; ++t) {
    if (b.threads[t].wait != Wait::warp) continue;
    const unsigned lanes = b.threads[t].lanes & present;
    bool complete = lanes >> (t - first) & 1;
    for (unsigned other = first; other < last; ++other)
      if (lanes >> (other - first) & 1)
        complete &= b.threads[other].wait == Wait::warp && (b.threads[other].lanes & present) == lanes;
    if (complete) release(first, last, lanes, &b.warp_sync[first / 32]);
    any |= complete;
  }
  return any;
}

// Nothing can go on: if not all have finished, some wait for threads that will never come.
NOT_INSTRUMENTED void check_nobody_waits() {
  unsigned waiting = 0, absent = 0, at_warp = 0;
  const unsigned n = unsigned(b.threads.size());
  for (unsigned t = n; t-- > 0;) {
    waiting += b.threads[t].wait != Wait::finished;
    if (b.threads[t].wait == Wait::finished) absent = t;
    if (b.threads[t].wait == Wait::warp) at_warp = t;
  }
  if (waiting == 0) return;
  if (waiting < n)
    fault(absent,
          fmt::format("ended, but a barrier was reached by only {} of {} threads", waiting, n).c_str());
  else
    fault(at_warp, fmt::format("waits at a warp barrier for lanes {:#010x}, of which some wait elsewhere",
                               b.threads[at_warp].lanes)
                       .c_str());
}

// After a fault: what the threads that still wait have done lies in the past of the next block, too.
NOT_INSTRUMENTED void abandon_waiting() {
#if defined(__SANITIZE_THREAD__)
  for (unsigned t = 0; t < b.threads.size(); ++t)
    if (b.owner[t] && b.threads[t].wait != Wait::finished)
      become(b.owner[t]->tsan_fiber), publish(&b.block_end);
  become(b.scheduler_tsan);
#endif
}

NOT_INSTRUMENTED void run_block() {
  const unsigned n = unsigned(b.threads.size());
  std::fill(b.threads.begin(), b.threads.end(), Thread{});
  std::fill(b.owner.begin(), b.owner.end(), nullptr);
  std::fill(b.shared.begin(), b.shared.end(), 0xFF);
  b.started = 0;
  b.busy_workers = 0;
  publish(&b.block_start);
  while (b.started < n && !b.failed) start_worker();
  for (bool progress = true; progress && !b.failed;) {
    progress = release_block();
    for (unsigned first = 0; first < n; first += 32) progress |= release_warp(first);
    for (unsigned t : b.order)
      if (b.threads[t].wait == Wait::none && !b.failed) switch_to_worker(*b.owner[t]);
  }
  if (!b.failed) check_nobody_waits();
  abandon_waiting();
  observe(&b.block_end);
}

std::vector<unsigned> ordered(unsigned n) {
  std::vector<unsigned> order(n);
  std::iota(order.begin(), order.end(), 0u);
  if (g_order == Order::reverse) std::reverse(order.begin(), order.end());
  if (g_order == Order::shuffled) std::shuffle(order.begin(), order.end(), std::mt19937(g_seed));
  return order;
}

std::string place(uint3 at, dim3 of) {
  if (of.y == 1 && of.z == 1) return std::to_string(at.x);
  return fmt::format("({},{},{})", at.x, at.y, at.z);
}

uint3 position(unsigned i, dim3 of) { return {i % of.x, i / of.x % of.y, i / (of.x * of.y)}; }

}  // namespace

void set_order(Order order, unsigned seed) {
  g_order = order;
  g_seed = seed;
}

void block_barrier() { wait(Wait::block, 0); }
void warp_barrier(unsigned lanes) { wait(Wait::warp, lanes); }
NOT_INSTRUMENTED unsigned lane_of_thread() { return b.current->thread % 32; }
NOT_INSTRUMENTED void* warp_slot(unsigned lane) { return b.slots[b.current->thread / 32 * 32 + lane].data(); }
NOT_INSTRUMENTED void* dynamic_shared_bytes() { return b.shared.data(); }

unsigned ballot(unsigned lanes, bool predicate) {
  std::memcpy(warp_slot(lane_of_thread()), &predicate, sizeof predicate);
  warp_barrier(lanes);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    bool yes = false;
    if (lanes >> lane & 1) std::memcpy(&yes, warp_slot(lane), sizeof yes);
    votes |= unsigned(yes) << lane;
  }
  warp_barrier(lanes);
  return votes;
}

NOT_INSTRUMENTED void run(std::string_view kernel, dim3 grid, dim3 block, size_t shared_bytes,
                          const std::function<void()>& thread) {
  const unsigned n = block.x * block.y * block.z;
  if (n == 0 || n > 1024 || block.z > 64 || shared_bytes > 227 * 1024 || grid.x > 0x7FFFFFFFu ||
      grid.y > 65535 || grid.z > 65535)
    throw std::logic_error(std::string(kernel) + ": a GPU would refuse this grid");
  gridDim = grid;
  blockDim = block;
  b.body = &thread;
  b.failed = false;
  b.threads.assign(n, {});
  b.owner.assign(n, nullptr);
  b.slots.assign((n + 31) / 32 * 32, {});
  b.shared.assign(shared_bytes, 0);
  b.order = ordered(n);
#if defined(__SANITIZE_THREAD__)
  b.scheduler_tsan = __tsan_get_current_fiber();
#endif
  for (unsigned i : ordered(grid.x * grid.y * grid.z)) {
    blockIdx = position(i, grid);
    run_block();
    if (!b.failed) continue;
    b.workers.clear();  // the stacks of threads that wait are of no more use
    throw std::logic_error(fmt::format("{}, block {}, thread {}: {}", kernel, place(blockIdx, grid),
                                       place(position(b.failed_thread, block), block), b.failure));
  }
}

}  // namespace osprey::emulation
