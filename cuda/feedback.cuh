// How one block moves the share of core/feedback.h.
#pragma once

#include "core/feedback.h"
#include "cuda/block.cuh"

namespace osprey::cuda {

// The sums of all threads, in their order; one thread writes. For blocks of whole warps in x, all of which
// must call this, having read the gains that they need.
__device__ inline void move_share(const Feedback& feedback, const FeedbackSums& own) {
  if (!feedback.on) return;  // the whole block
  const double small_losses = block_sum(own.small_losses), losses = block_sum(own.losses);
  const int small_objects = block_sum(own.small_objects);
  if (threadIdx.x == 0) feedback.move({small_losses, losses, small_objects});
}

}  // namespace osprey::cuda
