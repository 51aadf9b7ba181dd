#include "cuda/emulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cuda/emulated_block.h"
#include "cuda/host_threads.h"
#include "cuda/recording.h"

namespace osprey::emulation {
namespace {

Order g_order = Order::forward;
unsigned g_seed = 1;

// The numbers below n, in the order that tests ask for.
std::vector<unsigned> ordered(unsigned n) {
  std::vector<unsigned> order(n);
  std::iota(order.begin(), order.end(), 0u);
  if (g_order == Order::reverse) std::reverse(order.begin(), order.end());
  if (g_order == Order::shuffled) std::shuffle(order.begin(), order.end(), std::mt19937(g_seed));
  return order;
}

uint3 position(unsigned i, dim3 of) { return {i % of.x, i / of.x % of.y, i / of.x / of.y}; }

std::string place(uint3 at, dim3 of) {
  if (of.y == 1 && of.z == 1) return std::to_string(at.x);
  return fmt::format("({},{},{})", at.x, at.y, at.z);
}

// One launch of a kernel, whose blocks several host threads share.
class Launch {
 public:
  Launch(std::string_view kernel, dim3 grid, dim3 block, size_t shared_bytes,
         const std::function<void()>& thread)
      : kernel_(kernel),
        grid_(grid),
        block_(block),
        shared_bytes_(shared_bytes),
        thread_(thread),
        thread_order_(ordered(block.x * block.y * block.z)),
        blocks_(grid.x * grid.y * grid.z) {
    if (g_order == Order::shuffled) shuffled_ = ordered(blocks_);
  }

  // The first block is timed on this host thread, unless the race detector is to see all blocks unordered.
  void run() {
    const unsigned timed = kBlocksAreRaceChecked ? 0 : 1;
    const auto start = std::chrono::steady_clock::now();
    if (timed) run_blocks(0, blocks_);
    if (timed < blocks_) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      const unsigned count = host_threads(passed.count());
      on_host_threads(int(count), [&](int index) { run_blocks(timed + unsigned(index), count); });
    }
    if (!failure_.empty()) throw std::logic_error(failure_);
  }

 private:
  // Waking other host threads costs tens of microseconds, and more where they have to wait for a core.
  unsigned host_threads(double seconds_per_block) const {
    constexpr double kWorthSharing = 200e-6;
    const bool worth = kBlocksAreRaceChecked || seconds_per_block * (blocks_ - 1) >= kWorthSharing;
    return worth ? std::min(unsigned(most_host_threads()), blocks_) : 1;
  }

  // Which block is the one to run in a turn.
  unsigned block_of(unsigned turn) const {
    if (g_order == Order::shuffled) return shuffled_[turn];
    return g_order == Order::reverse ? blocks_ - 1 - turn : turn;
  }

  // The turns of one host thread, of which there are `count`. After a fault only earlier turns still matter,
  // since the first fault is reported.
  void run_blocks(unsigned first_turn, unsigned count) {
    prepare_blocks(grid_, block_, shared_bytes_, thread_order_, thread_);
    for (unsigned turn = first_turn; turn < blocks_ && turn < failed_turn_; turn += count) {
      const uint3 block = position(block_of(turn), grid_);
      if (const auto fault = run_block(block)) report(turn, block, *fault);
    }
  }

  void report(unsigned turn, uint3 block, const Fault& fault) {
    const std::lock_guard lock(reporting_);
    if (turn > failed_turn_) return;
    failed_turn_ = turn;
    failure_ = fmt::format("{}, block {}, thread {}: {}", kernel_, place(block, grid_),
                           place(position(fault.thread, block_), block_), fault.what);
  }

  const std::string_view kernel_;
  const dim3 grid_, block_;
  const size_t shared_bytes_;
  const std::function<void()>& thread_;
  const std::vector<unsigned> thread_order_;
  const unsigned blocks_;
  std::vector<unsigned> shuffled_;  // the blocks, where their order is no formula
  std::mutex reporting_;
  std::atomic<unsigned> failed_turn_ = std::numeric_limits<unsigned>::max();
  std::string failure_;
};

void check_grid(std::string_view kernel, dim3 grid, dim3 block, size_t shared_bytes) {
  auto refuse = [&](std::string_view what, uint64_t is, uint64_t most) {
    throw std::logic_error(fmt::format("{}: {} is {}, and a GPU takes 1 to {}", kernel, what, is, most));
  };
  auto check = [&](std::string_view what, uint64_t is, uint64_t most) {
    if (is == 0 || is > most) refuse(what, is, most);
  };
  check("the number of blocks in x", grid.x, 0x7FFFFFFF);
  check("the number of blocks in y", grid.y, 65535);
  check("the number of blocks in z", grid.z, 65535);
  check("the number of threads of a block in z", block.z, 64);
  check("the number of threads of a block", uint64_t(block.x) * block.y * block.z, kMostThreads);
  if (shared_bytes > 227 * 1024) refuse("the shared memory in bytes", shared_bytes, 227 * 1024);
}

}  // namespace

void set_order(Order order, unsigned seed) {
  g_order = order;
  g_seed = seed;
}

void start(void* stream, std::string_view kernel, dim3 grid, dim3 block, size_t shared_bytes,
           std::function<void()> thread) {
  check_grid(kernel, grid, block, shared_bytes);
  enqueue(stream,
          [=, thread = std::move(thread)] { Launch(kernel, grid, block, shared_bytes, thread).run(); });
}

}  // namespace osprey::emulation
