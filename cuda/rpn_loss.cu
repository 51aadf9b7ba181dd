#include "cuda/rpn_loss.h"

#include "cuda/feedback.cuh"
#include "cuda/report.cuh"

namespace osprey::cuda {
namespace {

constexpr int kThreads = 1024;

// One block for the mini-batch, of which a few thousand anchors are sampled: its threads stride through the
// places for them. Each sums its own costs, and the block adds these in the order of its threads.
__global__ void rpn_loss_kernel(RpnMaps maps, RpnTargets targets, RpnLossRule rule, View<float> slopes,
                                LossReport* report) {
  const int places = targets.sampled.shape.c, images = targets.sampled.shape.n, total = targets.total();
  const float factor = total > 0 ? float(images) / float(total) : 0;
  LossReport own;
  FeedbackSums fed;
  for (int i = int(threadIdx.x); i < images * places; i += kThreads) {
    const int image = i / places;
    if (i % places >= targets.counts[image]) continue;
    const RpnCost cost = rpn_cost(maps, targets, rule, image, targets.sampled[i], factor);
    add(own, cost.report);
    add(fed, cost.fed);
    for (int k = 0; k < kRpnSlopes; ++k) slopes[i * kRpnSlopes + k] = cost.slopes[k];
  }
  const LossReport sum = block_total(own);
  move_share(rule.feedback, fed);
  if (threadIdx.x == 0) add(*report, sum);
}

// One thread per place for a sampled anchor, which alone touches the anchor's gradients: none is sampled
// twice.
__global__ void rpn_loss_backward_kernel(RpnMaps gradients, View<const int> sampled, View<const int> counts,
                                         View<const float> slopes) {
  const int i = global_thread();
  if (i >= sampled.size()) return;
  const int image = i / sampled.shape.c;
  if (i % sampled.shape.c >= counts[image]) return;
  const int level = gradients.level_of(sampled[i]), row = sampled[i] - gradients.first_row(level);
  const float* slope = &slopes[i * kRpnSlopes];
  if (gradients.objectness[level]) gradients.logit(image, level, row) += slope[0];
  for (int d = 0; gradients.deltas[level] && d < 4; ++d)
    gradients.delta(image, level, row, d) += slope[1 + d];
}

}  // namespace

void rpn_loss(Stream& s, const RpnMaps& maps, const RpnTargets& targets, const RpnLossRule& rule,
              View<float> slopes, LossReport* report) {
  launch<rpn_loss_kernel>(s, Grid{dim3(1), dim3(kThreads)}, maps, targets, rule, slopes, report);
}

void rpn_loss_backward(Stream& s, const RpnMaps& gradients, View<const int> sampled, View<const int> counts,
                       View<const float> slopes) {
  launch<rpn_loss_backward_kernel>(s, one_thread_each(sampled.size()), gradients, sampled, counts, slopes);
}

}  // namespace osprey::cuda
