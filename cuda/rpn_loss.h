// The loss of a region proposal network over the anchors that were sampled. "Faster R-CNN", Ren et al.,
// NeurIPS 2015, section 3.1.2, normalised as in today's code: both parts by the number of anchors sampled in
// the mini-batch. The CPU side is in layers/losses/rpn_loss.cpp, the kernels in cuda/rpn_loss.cu.
#pragma once

#include "core/feedback.h"
#include "core/row_box_loss.h"
#include "core/step.h"
#include "core/stream.h"
#include "cuda/matching.h"
#include "cuda/rpn_maps.h"

namespace osprey {

struct RpnLossRule {
  BoxCoder coder;
  RowBoxLoss box_loss = {true, 1 / 9.f, {}};
  float box_weight = 1;  // the paper's lambda
  Feedback feedback;
};

// Which anchors count, and what they learn.
struct RpnTargets {
  View<const Box> anchors;  // [1,1,1,A], of all levels
  View<const int> match;    // [N,1,1,A]
  BoxLists truths;
  View<const int> sampled;  // [N,1,1,S]: anchors of each image, none twice; matched ones are positive
  View<const int> counts;   // [N,1,1,1]: how many they are, S at most

  HOST_DEVICE int total() const {
    int sum = 0;
    for (int n = 0; n < counts.size(); ++n) sum += counts[n];
    return sum;
  }
};

// What a sampled anchor costs: along its logit and its deltas the slopes of the loss.
struct RpnCost {
  LossReport report;
  float slopes[5] = {};
  FeedbackSums fed;
};
constexpr int kRpnSlopes = 5;

// `factor` times the cost of one anchor.
HOST_DEVICE inline RpnCost rpn_cost(const RpnMaps& maps, const RpnTargets& targets, const RpnLossRule& rule,
                                    int image, int anchor, float factor) {
  const int level = maps.level_of(anchor), row = anchor - maps.first_row(level);
  const int match = targets.match(image, 0, 0, anchor);
  const LossAndSlope object = bce_with_logits(maps.logit(image, level, row), match >= 0 ? 1.f : 0.f);
  RpnCost cost;
  cost.slopes[0] = factor * object.slope;
  cost.report.objectness_loss = double(factor) * object.loss;
  if (match >= 0) {
    const Deltas deltas = maps.deltas_of(image, level, row);
    const Box from = anchor_of(targets.anchors, image, anchor), truth = targets.truths.box(image, match);
    const RowBoxLoss::Cost box = rule.box_loss.cost(rule.coder, deltas, from, truth);
    const float plain = factor * rule.box_weight, of_box = plain * rule.feedback.gain(truth);
    rule.feedback.tell(truth, double(plain) * box.loss, cost.fed);
    cost.report.box_loss = double(of_box) * box.loss;
    cost.slopes[1] = of_box * box.slopes.x;
    cost.slopes[2] = of_box * box.slopes.y;
    cost.slopes[3] = of_box * box.slopes.w;
    cost.slopes[4] = of_box * box.slopes.h;
    cost.report.iou = iou(rule.coder.decode(deltas, from), truth);
    cost.report.matched = 1;
  }
  cost.report.loss = cost.report.objectness_loss + cost.report.box_loss;
  return cost;
}

// The mean over the mini-batch counts N times, as the sum of the losses of N images does. Writes slopes
// [N,1,S,kRpnSlopes] of the anchors that are sampled, adds to *report, moves the share of the feedback.
// Backward adds the slopes to the gradients of the maps; those of levels without data are left out.
namespace cpu {
void rpn_loss(Stream&, const RpnMaps&, const RpnTargets&, const RpnLossRule&, View<float> slopes,
              LossReport* report);
void rpn_loss_backward(Stream&, const RpnMaps& gradients, View<const int> sampled, View<const int> counts,
                       View<const float> slopes);
}  // namespace cpu
namespace cuda {
void rpn_loss(Stream&, const RpnMaps&, const RpnTargets&, const RpnLossRule&, View<float> slopes,
              LossReport* report);
void rpn_loss_backward(Stream&, const RpnMaps& gradients, View<const int> sampled, View<const int> counts,
                       View<const float> slopes);
}  // namespace cuda

}  // namespace osprey
