// How blocks tell what a loss comes to: each thread holds sums over different values.
#pragma once

#include "core/step.h"
#include "cuda/block.cuh"

namespace osprey::cuda {

// The block adds them, in the order of its threads. For blocks of whole warps in x, all of which must call
// this.
__device__ inline LossReport block_total(const LossReport& own) {
  LossReport total;
  total.loss = block_sum(own.loss);
  total.iou = block_sum(own.iou);
  total.box_loss = block_sum(own.box_loss);
  total.class_loss = block_sum(own.class_loss);
  total.objectness_loss = block_sum(own.objectness_loss);
  total.matched = block_sum(own.matched);
  return total;
}

}  // namespace osprey::cuda
