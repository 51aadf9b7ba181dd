#include "cuda/block.cuh"

#include <numeric>

#include "tests/cuda/kernel_test.h"

namespace osprey::cuda {
namespace {

// Twice in a row, since the second call uses the shared memory of the first.
__global__ void reduce_kernel(View<const float> x, View<float> sums, View<float> maxima) {
  const int i = global_thread();
  const float first = block_sum(x[i]), second = block_sum(2 * x[i]);
  sums[i] = first + second;
  maxima[i] = block_max(x[i]);
}

__global__ void tile_sum_kernel(View<const float> x, View<float> sums) {
  const int i = threadIdx.y * kTileChannels + threadIdx.x;
  const float first = tile_sum(x[i]), second = tile_sum(2 * x[i]);
  sums[i] = first + second;
}

TEST(Block, EveryThreadGetsTheSumAndTheMaximum) {
  Stream s;
  const int n = 192, block = 96;
  const test::Values x = test::coarse_values(n, 1);
  test::in_all_orders([&] {
    test::Values sums(n), maxima(n);
    launch<reduce_kernel>(s, Grid{n / block, block}, test::constant(x, {1, 1, 1, n}), test::channels(sums),
                          test::channels(maxima));
    for (int i = 0; i < n; ++i) {
      const auto first = x.begin() + i / block * block;
      EXPECT_EQ(sums[i], 3 * std::accumulate(first, first + block, 0.0f));  // exact: coarse values
      EXPECT_EQ(maxima[i], *std::max_element(first, first + block));
    }
  });
}

TEST(Block, EveryThreadOfAChannelGetsItsSum) {
  Stream s;
  const int n = kTileChannels * kTileRows;
  const test::Values x = test::coarse_values(n, 1);
  test::in_all_orders([&] {
    test::Values sums(n);
    launch<tile_sum_kernel>(s, one_block_per_channel_tile(kTileChannels), test::constant(x, {1, 1, 1, n}),
                            test::channels(sums));
    for (int i = 0; i < n; ++i) {
      float want = 0;
      for (int k = i % kTileChannels; k < n; k += kTileChannels) want += 3 * x[k];
      EXPECT_EQ(sums[i], want);
    }
  });
}

}  // namespace
}  // namespace osprey::cuda
