// What the threads of a block compute together. Every thread of the block must call these, since they contain
// barriers; every thread gets the result. The order of additions is fixed, so results repeat bit for bit.
#pragma once

#include "cuda/launch.h"

namespace osprey::cuda {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Combines the values of a warp: after each step lanes hold the result of twice as many lanes.
template <class T, class Combine>
__device__ T warp_reduce(T v, Combine combine) {
  for (int apart = 16; apart > 0; apart /= 2) v = combine(v, __shfl_xor_sync(kAllLanes, v, apart));
  return v;
}

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

template <class T>
__device__ T warp_sum(T v) {
  return warp_reduce(v, Sum{});
}
template <class T>
__device__ T warp_max(T v) {
  return warp_reduce(v, Max{});
}

// Warps first, then each warp repeats the combination of their results. For blocks of whole warps in x only.
template <class T, class Combine>
__device__ T block_reduce(T v, Combine combine) {
  __shared__ T of_warps[32];
  v = warp_reduce(v, combine);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  if (lane == 0) of_warps[warp] = v;
  __syncthreads();  // all warps have written
  v = of_warps[0];
  for (int w = 1; w < warps; ++w) v = combine(v, of_warps[w]);
  __syncthreads();  // all have read, so that the next call may write
  return v;
}

template <class T>
__device__ T block_sum(T v) {
  return block_reduce(v, Sum{});
}
template <class T>
__device__ T block_max(T v) {
  return block_reduce(v, Max{});
}

// For reductions over the pixels of an [N,H,W,C] tensor: threadIdx.x is the channel within a tile, and the
// threads of one channel share the rows among them. Eight floats are the 32 bytes that memory moves at once.
constexpr int kTileChannels = 8, kTileRows = 16;

inline Grid one_block_per_channel_tile(int channels) {
  return {dim3(unsigned((channels + kTileChannels - 1) / kTileChannels)), dim3(kTileChannels, kTileRows)};
}
__device__ inline int tile_channel() { return int(blockIdx.x) * kTileChannels + int(threadIdx.x); }

// The sum over the rows of a channel tile, for the channel of the thread.
template <class T>
__device__ T tile_sum(T v) {
  __shared__ T values[kTileRows][kTileChannels];
  values[threadIdx.y][threadIdx.x] = v;
  __syncthreads();  // all have written
  T sum = 0;
  for (int row = 0; row < kTileRows; ++row) sum += values[row][threadIdx.x];
  __syncthreads();  // all have read, so that the next call may write
  return sum;
}

}  // namespace osprey::cuda
