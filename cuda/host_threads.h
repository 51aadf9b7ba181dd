// The host threads among which the emulation deals out the blocks of a grid.
#pragma once

#include "core/parallel.h"

#if defined(__SANITIZE_THREAD__)
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#endif

namespace osprey::emulation {

#if defined(__SANITIZE_THREAD__)

// The race detector does not know OpenMP's threads. Two host threads that nothing orders while a grid runs
// are what it needs to see races between blocks; they live as long as the program, since their fibers are
// dear.
constexpr bool kBlocksAreRaceChecked = true;

inline int most_host_threads() { return 2; }

class Companion {
 public:
  Companion() : thread_([this] { live(); }) {}
  ~Companion() {
    hand_over(nullptr, true);
    thread_.join();
  }
  void start(const std::function<void()>& work) { hand_over(&work, false); }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !work_; });
  }

 private:
  void hand_over(const std::function<void()>* work, bool last) {
    const std::lock_guard lock(mutex_);
    work_ = work;
    last_ = last;
    changed_.notify_all();
  }
  void live() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return work_ || last_; });
      if (last_) return;
      lock.unlock();
      (*work_)();
      lock.lock();
      work_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool last_ = false;
  std::thread thread_;
};

// body(index) for each index below `count`, at the same time.
template <class Body>
void on_host_threads(int count, Body body) {
  static Companion companion;
  const std::function<void()> second = [&] { body(1); };
  if (count > 1) companion.start(second);
  body(0);
  if (count > 1) companion.wait();
}

#else

constexpr bool kBlocksAreRaceChecked = false;

inline int most_host_threads() { return threads(); }

template <class Body>
void on_host_threads(int count, Body body) {
  parallel_for(count, 1, [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) body(int(index));
  });
}

#endif

}  // namespace osprey::emulation
