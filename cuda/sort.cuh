// Sorting by the threads of a block, in shared memory.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace osprey::cuda {

// The smallest power of two that is at least n.
HOST_DEVICE inline int power_of_two_from(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}

// Bitonic sort: sequences that rise and fall become sorted ones of twice their length. `n` is a power of two.
// Every thread of the block, in x only, must call this, and must have passed a barrier since the keys were
// written; all may read them afterwards.
__device__ inline void block_sort(uint64_t* keys, int n) {
  for (int length = 2; length <= n; length *= 2)
    for (int apart = length / 2; apart > 0; apart /= 2) {
      for (int pair = int(threadIdx.x); pair < n / 2; pair += int(blockDim.x)) {
        const int a = 2 * pair - pair % apart, b = a + apart;
        const bool rises = (a & length) == 0;
        if ((keys[a] > keys[b]) == rises) {
          const uint64_t key = keys[a];
          keys[a] = keys[b];
          keys[b] = key;
        }
      }
      __syncthreads();  // a step reads what the one before has exchanged
    }
}

}  // namespace osprey::cuda
