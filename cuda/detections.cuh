// How the threads of a block append to one list in the order of the threads, without atomics.
#pragma once

#include "cuda/block.cuh"
#include "cuda/detections.h"

namespace osprey::cuda {

struct Append {
  int place;  // how many values the threads before this one append
  int total;  // all threads together
};

// Every thread of the block, of whole warps in x, must call this, with how many values it appends.
__device__ inline Append block_append(int count) {
  __shared__ int of_warps[32];
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  int sum = count;  // over the lanes up to this one: after each step, of twice as many
  for (int apart = 1; apart < 32; apart *= 2) {
    const int before = __shfl_up_sync(kAllLanes, sum, unsigned(apart));
    if (lane >= apart) sum += before;
  }
  if (lane == 31) of_warps[warp] = sum;
  __syncthreads();  // all warps have written
  Append result = {sum - count, 0};
  for (int w = 0; w < warps; ++w) {
    if (w < warp) result.place += of_warps[w];
    result.total += of_warps[w];
  }
  __syncthreads();  // all have read, so that the next call may write
  return result;
}

// For one block per image: appends to the candidates of the image those of `rows` rows for which
// listed(row, candidate) holds, which then has filled in the candidate but for its box; box(row) is in units
// of the network input.
template <class Listed, class BoxOf>
__device__ void list_candidates(const DetectionLists& lists, int rows, Listed listed, BoxOf box) {
  const int image = int(blockIdx.x);
  int count = lists.counts[image];
  for (int first = 0; first < rows; first += int(blockDim.x)) {
    const int row = first + int(threadIdx.x);
    CandidateBox candidate;
    const bool appends = row < rows && listed(row, candidate);
    const Append at = block_append(appends);
    if (appends && count + at.place < lists.capacity()) {
      candidate.box = corners(in_image(box(row), lists.places[image].placement));
      lists.candidates(image, 0, 0, count + at.place) = candidate;
    }
    count += at.total;
  }
  if (threadIdx.x == 0) lists.counts[image] = count;  // every thread has read it before the first barrier
}

}  // namespace osprey::cuda
