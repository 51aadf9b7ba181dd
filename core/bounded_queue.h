// Hands things from one thread to another, in their order, and no more than `capacity` of them ahead.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace osprey {

enum class WhenFull { wait, drop_oldest };

template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity, WhenFull when_full = WhenFull::wait)
      : capacity_(capacity), when_full_(when_full) {}

  // False, and nothing done, once the queue is closed.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    if (when_full_ == WhenFull::wait)
      changed_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    if (items_.size() == capacity_) items_.pop_front();
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Waits for the next one; none when the queue is closed and what was in it is taken.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  // By either side: nothing more comes, or nothing more is wanted. Whoever waits goes on.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  const size_t capacity_;
  const WhenFull when_full_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace osprey
