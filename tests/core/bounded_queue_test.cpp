#include "core/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace osprey {
namespace {

TEST(BoundedQueue, HandsOverAllInOrderAndNotMoreThanItHolds) {
  BoundedQueue<std::unique_ptr<int>> queue(3);
  std::atomic<int> pushed = 0;
  std::jthread from([&] {
    for (int i = 0; i < 1000; ++i) {
      queue.push(std::make_unique<int>(i));
      ++pushed;
    }
    queue.close();
  });
  for (int i = 0; i < 1000; ++i) {
    const auto item = queue.pop();
    ASSERT_TRUE(item);
    EXPECT_EQ(**item, i);
    EXPECT_LE(pushed, i + 1 + 3);
  }
  EXPECT_FALSE(queue.pop());
}

TEST(BoundedQueue, WaitsForRoom) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::atomic<bool> through = false;
  std::jthread from([&] {
    queue.push(2);
    through = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(through);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(BoundedQueue, ClosingWakesBothSides) {
  BoundedQueue<int> full(1), empty(1);
  full.push(1);
  bool pushed = true;
  std::optional<int> popped = 7;
  {
    std::jthread pushing([&] { pushed = full.push(2); });
    std::jthread popping([&] { popped = empty.pop(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    full.close();
    empty.close();
  }
  EXPECT_FALSE(pushed);
  EXPECT_FALSE(popped);
  EXPECT_EQ(full.pop(), 1);  // what is in it can still be taken
  EXPECT_FALSE(full.pop());
  EXPECT_FALSE(empty.push(3));
}

TEST(BoundedQueue, CanDropTheOldestInstead) {
  BoundedQueue<int> queue(2, WhenFull::drop_oldest);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(queue.push(i));
  queue.close();
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), 4);
  EXPECT_FALSE(queue.pop());
}

}  // namespace
}  // namespace osprey
