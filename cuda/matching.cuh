// What the kernels of the matchers share.
#pragma once

#include "cuda/block.cuh"
#include "cuda/matching.h"

namespace osprey::cuda {

constexpr int kMatchingThreads = 128;

// A thread for each anchor (x) of each image (y).
inline Grid one_thread_per_anchor(int anchors, int images) {
  return {dim3(unsigned((anchors + kMatchingThreads - 1) / kMatchingThreads), unsigned(images)),
          dim3(kMatchingThreads)};
}

// A block for each truth there is room for (x) of each image (y).
inline Grid one_block_per_truth(const BoxLists& truths, int images) {
  return {dim3(unsigned(truths.capacity()), unsigned(images)), dim3(kMatchingThreads)};
}

// The smallest key(i) of i in [first, last) after the key `after`; kNoKey if there is none. For the whole
// block: called again with its own result, it goes through the keys in their order.
template <class Key>
__device__ uint64_t next_key(uint64_t after, int first, int last, Key key) {
  uint64_t smallest = kNoKey;
  for (int i = first + int(threadIdx.x); i < last; i += int(blockDim.x)) {
    const uint64_t k = key(i);
    if (k > after && k < smallest) smallest = k;
  }
  return ~block_max(~smallest);
}

// A bound that exactly n of the count keys do not exceed. key(i) is kNoKey where there is none; others are
// not 0 and all differ, and there are at least n. For the whole block, which finds the bound from its highest
// byte down: each pass counts how many keys there are with each value of the next byte.
template <class Key>
__device__ uint64_t bound_of_smallest(int n, int count, Key key) {
  constexpr int kValues = 256;
  __shared__ int having[kValues];  // atomics are of integers, whose sum no order changes
  if (n <= 0) return 0;
  uint64_t bound = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int value = int(threadIdx.x); value < kValues; value += int(blockDim.x)) having[value] = 0;
    __syncthreads();  // all counts are 0
    for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) {
      const uint64_t k = key(i);
      const bool begins_so = shift == 56 || k >> (shift + 8) == bound >> (shift + 8);
      if (k != kNoKey && begins_so) atomicAdd(&having[k >> shift & (kValues - 1)], 1);
    }
    __syncthreads();  // all keys are counted
    int value = 0;
    while (n > having[value]) n -= having[value++];
    const bool all_of_it = n == having[value];
    bound |= uint64_t(value) << shift;
    __syncthreads();  // all threads have read the counts, which the next pass clears
    if (!all_of_it) continue;
    bound |= (uint64_t(1) << shift) - 1;
    return bound == kNoKey ? bound - 1 : bound;
  }
  return bound;
}

// Fills the row with the indices of [first, last) whose keys are the smallest, in their order, and -1 beyond
// the last; those of kNoKey are left out. For the whole block.
template <class Key>
__device__ void choose_lowest(int first, int last, View<int> row, Key key) {
  uint64_t chosen = 0;
  for (int i = 0; i < row.shape.c; ++i) {
    if (chosen != kNoKey) chosen = next_key(chosen, first, last, key);
    if (threadIdx.x == 0) row[i] = chosen == kNoKey ? -1 : index_of_key(chosen);
  }
}

}  // namespace osprey::cuda
