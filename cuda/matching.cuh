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

}  // namespace osprey::cuda
