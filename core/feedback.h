// Weights of box losses that rise for small objects while these have little part in the whole loss, for both
// devices.
//
// The idea is that of "Feedback-driven loss function for small object detection", Liu, Han and Rong, Image
// and Vision Computing 111, 2021: a larger gain the smaller the object and the smaller the share of all small
// ones in the loss of the step before. Its formulas are not public: the parametrisation here is OUR OWN.
//
//   share  s = (sum of the losses of small objects) / (sum of all), of the last step that had small ones
//   gain   g = 1 + strength (1 - s / enough) (1 - area / small)   for a small object where s < enough, else 1
//
// "Stitcher: Feedback-driven Data Provider for Object Detection", Chen et al., arXiv 2004.12432, has the same
// share, and 0.1 as the best threshold.
#pragma once

#include "core/box.h"
#include "core/view.h"

namespace osprey {

struct FeedbackRule {
  float enough = .1f;          // above 0
  float strength = 1;          // the gain of a vanishing object with a vanishing share, less 1
  float small_area = 32 * 32;  // of small objects at most, in pixels of the network input, as COCO has it
  float momentum = 0;          // of the share: what it keeps of its value before

  HOST_DEVICE bool is_small(Box truth) const { return area(truth) <= small_area; }
  HOST_DEVICE float gain(Box truth, float share) const {
    if (share <= 0 || share >= enough || !is_small(truth)) return 1;  // a share of 0: not known yet
    return 1 + strength * (1 - share / enough) * (1 - area(truth) / small_area);
  }
  // The share after a step; the same as before where the step says nothing.
  HOST_DEVICE float next_share(float share, double small_losses, double losses, int small_objects) const {
    if (small_objects == 0 || !(losses > 0) || !(losses < INFINITY)) return share;
    const float now = float(small_losses / losses);
    return share > 0 ? momentum * share + (1 - momentum) * now : now;
  }
};

// What a step says of the share. Losses of boxes are told without their gain, which would otherwise drive
// itself.
struct FeedbackSums {
  double small_losses = 0, losses = 0;
  int small_objects = 0;
};

HOST_DEVICE inline void add(FeedbackSums& sum, const FeedbackSums& more) {
  sum.small_losses += more.small_losses;
  sum.losses += more.losses;
  sum.small_objects += more.small_objects;
}

// A part of the rule of a loss: gradients see its gains as constants.
struct Feedback {
  bool on = false;
  FeedbackRule rule;
  View<float> share;  // [1,1,1,1], where it is on: lasts from step to step, and begins with 0

  HOST_DEVICE float gain(Box truth) const { return on ? rule.gain(truth, share[0]) : 1.0f; }
  HOST_DEVICE void tell(Box truth, double loss, FeedbackSums& sums) const {
    const bool is_small = rule.is_small(truth);
    sums.losses += loss;
    sums.small_losses += is_small ? loss : 0;
    sums.small_objects += is_small;
  }
  // After the step, when all its gains have been read.
  HOST_DEVICE void move(const FeedbackSums& sums) const {
    if (on) share[0] = rule.next_share(share[0], sums.small_losses, sums.losses, sums.small_objects);
  }
};

}  // namespace osprey
