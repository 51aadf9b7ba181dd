// Guarded memory: kernels, copies and fills reach it, and the host does not.
#include "cuda/guard.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "cuda/graph.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

__global__ void count_up_kernel(int* value) { *value += 1; }

class Guard : public testing::Test {
 protected:
  Guard() {
    emulation::guard_memory(true);
    memory = static_cast<int*>(allocate(kBytes));
    fill_zero(stream, memory, kBytes);
  }
  ~Guard() override {
    release(memory);
    release_stream(stream);
    emulation::guard_memory(was_on);
  }
  static constexpr size_t kBytes = 5000;  // more than one page
  const bool was_on = emulation::guards_memory();
  Stream stream = make_stream();
  int* memory = nullptr;
};

TEST_F(Guard, KernelsCopiesAndGraphsReachIt) {
  const int value = 7;
  int back = 0;
  copy(stream, memory, &value, sizeof value);
  launch<count_up_kernel>(stream, Grid{1, 1}, memory);
  copy(stream, &back, memory, sizeof back);
  EXPECT_EQ(back, 8);
  Graph graph;
  graph.capture(stream, [&] { fill_zero(stream, memory, kBytes); });
  graph.replay(stream);
  copy(stream, &back, memory, sizeof back);
  EXPECT_EQ(back, 0);
}

TEST_F(Guard, StaysOpenUntilTheLastUserHasGone) {
  const emulation::OpenDeviceMemory outer;
  { const emulation::OpenDeviceMemory inner; }
  memory[0] = 3;
  EXPECT_EQ(memory[0], 3);
}

// A new process for the test, since threads do not outlive a fork.
TEST_F(Guard, HostAccessEndsTheProgramWithAnExplanation) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const char* const explanation =
      "the host touched device memory at 0x[0-9a-f]+, outside of kernels and copies";
  EXPECT_DEATH(memory[0] = 1, explanation);
  EXPECT_DEATH(std::exit(memory[kBytes / sizeof(int) - 1]), explanation);
}

TEST_F(Guard, MemoryOfBeforeIsReleasedAsItWasAllocated) {
  emulation::guard_memory(false);
  int* plain = static_cast<int*>(allocate(sizeof(int)));
  *plain = 1;
  emulation::guard_memory(true);
  EXPECT_EQ(*plain, 1);
  release(plain);
}

}  // namespace
}  // namespace osprey::cuda
