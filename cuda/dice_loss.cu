#include "cuda/dice_loss.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// The sums of the mask of this block, in every thread of it.
__device__ DiceSums dice_sums(View<const float> logits, View<const float> targets, int count) {
  const int first = int(blockIdx.x) * count;
  DiceSums mine;
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x))
    mine.add(logits[first + i], targets[first + i]);
  DiceSums sums;
  sums.product = block_sum(mine.product);
  sums.total = block_sum(mine.total);
  return sums;
}

// One block per mask.
__global__ void dice_loss_kernel(View<const float> logits, View<const float> targets, int count, float eps,
                                 View<float> losses) {
  const DiceSums sums = dice_sums(logits, targets, count);
  if (threadIdx.x == 0) losses[int(blockIdx.x)] = sums.loss(eps);
}

// One block per mask, of which all threads return together or none.
__global__ void dice_loss_backward_kernel(View<const float> logits, View<const float> targets, int count,
                                          float eps, View<const float> dy, View<float> dlogits) {
  const float factor = dy[int(blockIdx.x)];
  if (factor == 0) return;
  const DiceSums sums = dice_sums(logits, targets, count);
  const int first = int(blockIdx.x) * count;
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x))
    dlogits[first + i] += factor * sums.slope(logits[first + i], targets[first + i], eps);
}

Grid one_block_each(int masks) { return {dim3(unsigned(masks)), dim3(256)}; }

}  // namespace

void dice_loss(Stream& s, View<const float> logits, View<const float> targets, float eps,
               View<float> losses) {
  const int masks = losses.size();
  if (masks == 0) return;
  launch<dice_loss_kernel>(s, one_block_each(masks), logits, targets, logits.size() / masks, eps, losses);
}

void dice_loss_backward(Stream& s, View<const float> logits, View<const float> targets, float eps,
                        View<const float> dy, View<float> dlogits) {
  const int masks = dy.size();
  if (masks == 0) return;
  launch<dice_loss_backward_kernel>(s, one_block_each(masks), logits, targets, logits.size() / masks, eps, dy,
                                    dlogits);
}

}  // namespace osprey::cuda
