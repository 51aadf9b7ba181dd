// The softmax of a row of logits by a warp, whose lanes read classes side by side.
#pragma once

#include "cuda/block.cuh"

namespace osprey::cuda {

// A warp for each row; blocks of kRowsPerBlock of them.
constexpr int kRowsPerBlock = 4;
inline Grid one_warp_each(int rows) {
  return {dim3(unsigned((rows + kRowsPerBlock - 1) / kRowsPerBlock)), dim3(32 * kRowsPerBlock)};
}
__device__ inline int row_of_warp() { return int(blockIdx.x) * kRowsPerBlock + int(threadIdx.x / 32); }

// The largest logit of a row, and the logarithm of the sum of exponentials above it, for all lanes, all of
// which must come here.
struct RowSoftmax {
  float largest, log_sum;

  __device__ RowSoftmax(const float* logits, int classes) {
    const int lane = int(threadIdx.x % 32);
    largest = -INFINITY;
    for (int c = lane; c < classes; c += 32) largest = fmaxf(largest, logits[c]);
    largest = warp_max(largest);
    float sum = 0;
    for (int c = lane; c < classes; c += 32) sum += expf(logits[c] - largest);
    log_sum = logf(warp_sum(sum));
  }
  __device__ float log_probability(float logit) const { return logit - largest - log_sum; }
};

}  // namespace osprey::cuda
