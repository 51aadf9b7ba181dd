// The emulation must run right kernels right, and must notice wrong ones.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

using emulation::Order;
constexpr Order kOrders[] = {Order::forward, Order::reverse, Order::shuffled};

template <bool kWithBarrier>
__global__ void reverse_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  tile[threadIdx.x] = x[threadIdx.x];
  if (kWithBarrier) __syncthreads();
  x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// Two neighbours are added after each barrier: wrong without the second one, though the first is there.
template <bool kWithSecondBarrier>
__global__ void two_steps_kernel(View<float> x) {
  float* tile = dynamic_shared<float>();
  const int i = threadIdx.x, next = (i + 1) % blockDim.x;
  tile[i] = x[i];
  __syncthreads();
  const float sum = tile[i] + tile[next];
  if (kWithSecondBarrier) __syncthreads();
  tile[i] = sum;
  __syncthreads();
  x[i] = tile[next];
}

__global__ void early_exit_kernel() {
  if (threadIdx.x >= 40) return;
  __syncthreads();
}

__global__ void diverging_kernel() {
  if (threadIdx.x < 32 || threadIdx.x == 33)
    __syncthreads();
  else
    __syncwarp();
}

// A shuffle is the business of the lanes that it names, of which the one that calls it must be one.
__global__ void shuffle_from_absent_lane_kernel() {
  if (threadIdx.x < 16) __shfl_sync(0x0000FFFFu, 1, threadIdx.x == 3 ? 20 : 0);
}
__global__ void shuffle_of_others_kernel() {
  __shfl_sync(threadIdx.x == 5 ? 1u << 4 : 1u << threadIdx.x, 1, 0, 1);
}
__global__ void shuffle_meets_barrier_kernel() {
  if (threadIdx.x == 0)
    __syncwarp();
  else
    __shfl_sync(~0u, 1, 0);
}
__global__ void shuffle_after_return_kernel() {
  if (threadIdx.x != 9) __shfl_sync(~0u, 1, 0);
}
__global__ void late_fault_kernel() {
  __syncthreads();
  if (blockIdx.x % 3 == 2) throw std::runtime_error("late");
}

__global__ void overrun_kernel(View<float> x) { x[global_thread()] = 1; }

__global__ void count_kernel(View<const float> x, View<float> sums, View<int> counts) {
  const int i = global_thread();
  if (i >= x.size()) return;
  atomicAdd(&sums[0], x[i]);
  atomicAdd(&counts[0], 1);
  atomicMax(&counts[1], i);
  atomicMin(&counts[2], i);
  atomicCAS(&counts[3], i, i + 1);
  atomicExch(&counts[4], 5);
  atomicOr(&counts[5], 1 << i % 9);
  atomicAnd(&counts[6], ~(1 << i % 9));
}

// Every lane writes what it got from each way of trading values.
__global__ void trade_kernel(View<int> got) {
  const int lane = threadIdx.x % 32;
  got(threadIdx.x, 0, 0, 0) = __shfl_sync(~0u, lane, 7);
  got(threadIdx.x, 0, 0, 1) = __shfl_xor_sync(~0u, lane, 3);
  got(threadIdx.x, 0, 0, 2) = __shfl_down_sync(~0u, lane, 5);
  got(threadIdx.x, 0, 0, 3) = __shfl_up_sync(~0u, lane, 5);
  got(threadIdx.x, 0, 0, 4) = int(__ballot_sync(~0u, lane % 2));
  got(threadIdx.x, 0, 0, 5) = __any_sync(~0u, lane == 9);
  got(threadIdx.x, 0, 0, 6) = __all_sync(~0u, lane < 31);
}

// Segments of eight lanes, eight-byte values, votes of the block, and what the masks say.
__global__ void trade_widely_kernel(View<int> got) {
  const int lane = threadIdx.x % 32;
  const double wide = lane + 0.5;
  int* row = &got(threadIdx.x, 0, 0, 0);
  row[0] = __shfl_sync(~0u, lane, 10, 8);
  row[1] = __shfl_xor_sync(~0u, lane, 9, 8);
  row[2] = __shfl_down_sync(~0u, lane, 3, 8);
  row[3] = __shfl_up_sync(~0u, lane, 3, 8);
  row[4] = int(2 * __shfl_sync(~0u, wide, 31));
  row[5] = __syncthreads_count(threadIdx.x % 3 == 0);
  row[6] = __syncthreads_or(threadIdx.x == 63);
  row[7] = __syncthreads_and(threadIdx.x < 63);
  row[8] = int(__activemask() >> lane & 1);
}

// The halves of a warp trade among themselves, at their own pace.
__global__ void halves_kernel(View<int> got) {
  const int lane = threadIdx.x;
  int v = lane;
  if (lane < 16)
    for (int by = 8; by > 0; by /= 2) v += __shfl_xor_sync(0x0000FFFFu, v, by);
  else
    for (int by = 8; by > 4; by /= 2) v += __shfl_xor_sync(0xFFFF0000u, v, by);
  __syncwarp();
  got[lane] = v;
}

__global__ void place_kernel(View<int> visits) {
  atomicAdd(&visits(blockIdx.z, blockIdx.y, blockIdx.x,
                    threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)),
            1);
}

std::string failure(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::logic_error& e) {
    return e.what();
  }
  return "";
}

class Emulation : public testing::Test {
 protected:
  ~Emulation() override { emulation::set_order(Order::forward); }
  Stream stream;
};

template <class Launch>
int wrong_orders(Launch&& launch_it, const std::vector<float>& x, const std::vector<float>& want) {
  int wrong = 0;
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<float> values = x;
    launch_it(View<float>{values.data(), {1, 1, 1, int(values.size())}});
    wrong += values != want;
  }
  return wrong;
}

TEST_F(Emulation, MissingBarrierIsWrongInSomeOrder) {
  std::vector<float> x(64), reversed(64), sums(64);
  std::iota(x.begin(), x.end(), 0.0f);
  for (int i = 0; i < 64; ++i) reversed[i] = 63 - i, sums[i] = x[(i + 1) % 64] + x[(i + 2) % 64];
  const Grid grid = {1, 64, 64 * sizeof(float)};
  EXPECT_EQ(wrong_orders([&](View<float> v) { launch<reverse_kernel<true>>(stream, grid, v); }, x, reversed),
            0);
  EXPECT_EQ(wrong_orders([&](View<float> v) { launch<two_steps_kernel<true>>(stream, grid, v); }, x, sums),
            0);
#ifndef __SANITIZE_THREAD__  // there they are reported, as they should be: planted_races.cu
  EXPECT_GT(wrong_orders([&](View<float> v) { launch<reverse_kernel<false>>(stream, grid, v); }, x, reversed),
            0);
  EXPECT_GT(wrong_orders([&](View<float> v) { launch<two_steps_kernel<false>>(stream, grid, v); }, x, sums),
            0);
#endif
}

TEST_F(Emulation, NamesTheThreadThatNeverCameToABarrier) {
  EXPECT_EQ(
      failure([&] {
        launch<early_exit_kernel>(stream, Grid{1, 64});
      }),
      "early_exit_kernel, block 0, thread 40: ended, but a barrier was reached by only 40 of 64 threads");
  EXPECT_EQ(
      failure([&] {
        launch<diverging_kernel>(stream, Grid{1, 64});
      }),
      "diverging_kernel, block 0, thread 32: waits at a warp barrier for lanes 0xffffffff, of which some "
      "wait elsewhere");
  std::vector<float> x(64);  // and the next kernel is none the worse for it
  launch<reverse_kernel<true>>(stream, Grid{1, 64, 256}, View<float>{x.data(), {1, 1, 1, 64}});
}

TEST_F(Emulation, NamesTheThreadWhoseShuffleGoesWrong) {
  const Grid warp = {1, 32};
  EXPECT_EQ(failure([&] { launch<shuffle_from_absent_lane_kernel>(stream, warp); }),
            "shuffle_from_absent_lane_kernel, block 0, thread 3: asks for the value of lane 20, which takes "
            "no part");
  EXPECT_EQ(failure([&] { launch<shuffle_of_others_kernel>(stream, warp); }),
            "shuffle_of_others_kernel, block 0, thread 5: waits for lanes 0x00000010, of which it is none");
  EXPECT_EQ(failure([&] { launch<shuffle_meets_barrier_kernel>(stream, warp); }),
            "shuffle_meets_barrier_kernel, block 0, thread 0: waits at a warp barrier for lanes 0xffffffff, "
            "of which "
            "some wait elsewhere");
  EXPECT_EQ(failure([&] { launch<shuffle_after_return_kernel>(stream, warp); }),
            "shuffle_after_return_kernel, block 0, thread 9: ended, but a barrier was reached by only 31 of "
            "32 threads");
}

// 300 blocks of 128 threads with a barrier are worth several host threads.
TEST_F(Emulation, ReportsTheFirstBlockThatFails) {
  const Grid grid = {300, 128};
  const std::pair<Order, int> first[] = {{Order::forward, 2}, {Order::reverse, 299}};
  for (const auto& [order, block] : first) {
    emulation::set_order(order);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(failure([&] { launch<late_fault_kernel>(stream, grid); }),
                "late_fault_kernel, block " + std::to_string(block) + ", thread " +
                    (order == Order::forward ? "0" : "127") + ": late");
  }
}

TEST_F(Emulation, NamesTheThreadThatLeftAView) {
#ifndef OSPREY_CHECK_BOUNDS
  GTEST_SKIP() << "views check no bounds in Release builds";
#endif
  std::vector<float> x(100);
  EXPECT_EQ(failure([&] {
              launch<overrun_kernel>(stream, Grid{2, 64}, View<float>{x.data(), {1, 1, 1, 100}});
            }),
            "overrun_kernel, block 1, thread 36: index 100 is outside 1x1x1x100");
  EXPECT_EQ(failure([&] {
              launch<overrun_kernel>(stream, Grid{1, dim3(2, 64)}, View<float>{x.data(), {1, 1, 1, 1}});
            }),
            "overrun_kernel, block 0, thread (1,0,0): index 1 is outside 1x1x1x1");
}

TEST_F(Emulation, RefusesAGridThatAGpuWouldRefuse) {
  EXPECT_EQ(failure([&] {
              launch<early_exit_kernel>(stream, Grid{1, 1025});
            }),
            "early_exit_kernel: the number of threads of a block is 1025, and a GPU takes 1 to 1024");
  EXPECT_EQ(failure([&] {
              launch<early_exit_kernel>(stream, Grid{dim3(1, 65536), 32});
            }),
            "early_exit_kernel: the number of blocks in y is 65536, and a GPU takes 1 to 65535");
  EXPECT_EQ(failure([&] {
              launch<early_exit_kernel>(stream, Grid{dim3(1, 1, 0), 32});
            }),
            "early_exit_kernel: the number of blocks in z is 0, and a GPU takes 1 to 65535");
  EXPECT_EQ(failure([&] {
              launch<early_exit_kernel>(stream, Grid{1, dim3(32, 0)});
            }),
            "early_exit_kernel: the number of threads of a block is 0, and a GPU takes 1 to 1024");
  EXPECT_EQ(failure([&] {
              launch<early_exit_kernel>(stream, Grid{1, 32, 228 * 1024});
            }),
            "early_exit_kernel: the shared memory in bytes is 233472, and a GPU takes 1 to 232448");
}

TEST_F(Emulation, AtomicsCount) {
  const int n = 300;
  std::vector<float> x(n, 1), sums(1);
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<int> counts = {0, -1, n, 17, 0, 0x1000, 0x1FFF};
    sums[0] = 0;
    launch<count_kernel>(stream, one_thread_each(n, 128), View<const float>{x.data(), {1, 1, 1, n}},
                         View<float>{sums.data(), {1, 1, 1, 1}}, View<int>{counts.data(), {1, 1, 1, 7}});
    EXPECT_EQ(sums[0], n);
    EXPECT_EQ(counts[0], n);
    EXPECT_EQ(counts[1], n - 1);
    EXPECT_EQ(counts[2], 0);
    EXPECT_GT(counts[3], 17);
    EXPECT_EQ(counts[4], 5);
    EXPECT_EQ(counts[5], 0x11FF);
    EXPECT_EQ(counts[6], 0x1E00);
  }
}

TEST_F(Emulation, LanesTradeValuesAndVotes) {
  const int n = 64;
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<int> got(n * 7);
    launch<trade_kernel>(stream, Grid{1, n}, View<int>{got.data(), {n, 1, 1, 7}});
    for (int t = 0; t < n; ++t) {
      const int lane = t % 32;
      const int* row = &got[t * 7];
      EXPECT_EQ(row[0], 7);
      EXPECT_EQ(row[1], lane ^ 3);
      EXPECT_EQ(row[2], lane + 5 < 32 ? lane + 5 : lane);
      EXPECT_EQ(row[3], lane - 5 >= 0 ? lane - 5 : lane);
      EXPECT_EQ(unsigned(row[4]), 0xAAAAAAAAu);
      EXPECT_EQ(row[5], 1);
      EXPECT_EQ(row[6], 0);
    }
  }
}

TEST_F(Emulation, LanesTradeInSegmentsAndBlocksVote) {
  const int n = 64;
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<int> got(n * 9);
    launch<trade_widely_kernel>(stream, Grid{1, n}, View<int>{got.data(), {n, 1, 1, 9}});
    for (int t = 0; t < n; ++t) {
      const int lane = t % 32, start = lane / 8 * 8, end = start + 8;
      const std::vector<int> row(got.begin() + t * 9, got.begin() + (t + 1) * 9);
      EXPECT_EQ(row, (std::vector<int>{start + 2, (lane ^ 9) < end ? lane ^ 9 : lane,
                                       lane + 3 < end ? lane + 3 : lane, lane - 3 >= start ? lane - 3 : lane,
                                       63, 22, 1, 0, 1}));
    }
  }
}

TEST_F(Emulation, PartsOfAWarpWaitForThemselvesOnly) {
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<int> got(32);
    launch<halves_kernel>(stream, Grid{1, 32}, View<int>{got.data(), {1, 1, 1, 32}});
    for (int lane = 0; lane < 32; ++lane) EXPECT_EQ(got[lane], lane < 16 ? 120 : lane + (lane ^ 8));
  }
}

TEST_F(Emulation, VisitsEveryThreadOfEveryBlockOnce) {
  for (Order order : kOrders) {
    emulation::set_order(order);
    std::vector<int> visits(4 * 3 * 2 * 24);
    launch<place_kernel>(stream, Grid{dim3(2, 3, 4), dim3(2, 3, 4)}, View<int>{visits.data(), {4, 3, 2, 24}});
    EXPECT_EQ(visits, std::vector<int>(visits.size(), 1));
  }
}

}  // namespace
}  // namespace osprey::cuda
