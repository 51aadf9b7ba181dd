#include "cuda/feedback.h"

#include "cuda/block.cuh"

namespace osprey::cuda {
namespace {

constexpr int kReducers = 1024;

// One thread per row of all images.
__global__ void feedback_weights_kernel(View<const int> match, BoxLists truths, FeedbackRule rule,
                                        View<const float> share, View<float> weights) {
  const int i = global_thread();
  if (i >= match.size()) return;
  float weight = 0;
  if (match[i] >= 0) {
    const Box truth = truths.box(i / match.shape.c, match[i]);
    weight = rule.size_weight(truth) * rule.gain(truth, share[0]);
  }
  weights[i] = weight;
}

// One block for all rows, so that one thread may write the share, and sums have one order.
__global__ void feedback_share_kernel(View<const int> match, BoxLists truths, View<const float> losses,
                                      FeedbackRule rule, View<float> share) {
  double small_losses = 0, all_losses = 0;
  int small_objects = 0;
  for (int i = int(threadIdx.x); i < match.size(); i += int(blockDim.x)) {
    if (match[i] < 0) continue;
    const Box truth = truths.box(i / match.shape.c, match[i]);
    const double loss = double(losses[i]) * rule.size_weight(truth);
    all_losses += loss;
    if (!rule.is_small(truth)) continue;
    small_losses += loss;
    ++small_objects;
  }
  small_losses = block_sum(small_losses);
  all_losses = block_sum(all_losses);
  small_objects = block_sum(small_objects);
  if (threadIdx.x == 0) share[0] = rule.next_share(share[0], small_losses, all_losses, small_objects);
}

}  // namespace

void feedback_weights(Stream& s, View<const int> match, BoxLists truths, FeedbackRule rule,
                      View<const float> share, View<float> weights) {
  launch<feedback_weights_kernel>(s, one_thread_each(match.size()), match, truths, rule, share, weights);
}

void feedback_share(Stream& s, View<const int> match, BoxLists truths, View<const float> losses,
                    FeedbackRule rule, View<float> share) {
  launch<feedback_share_kernel>(s, Grid{dim3(1), dim3(kReducers)}, match, truths, losses, rule, share);
}

}  // namespace osprey::cuda
