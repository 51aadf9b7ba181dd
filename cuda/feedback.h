// Weights of box losses that rise for small objects while these have little part in the whole loss. The CPU
// side is in layers/losses/feedback.cpp, the kernels in cuda/feedback.cu.
//
// The idea is that of "Feedback-driven loss function for small object detection", Liu, Han and Rong, Image
// and Vision Computing 111, 2021: YOLOv3's factor 2 - w h to begin with, and a larger gain the smaller the
// object and the smaller the share of all small ones in the loss of the step before. Its formulas are not
// public: the parametrisation here is OUR OWN.
//
//   share  s = (sum of the losses of small objects) / (sum of all), of the last step that had small ones
//   gain   g = 1 + strength (1 - s / enough) (1 - area / small)    for a small object where s < enough, else
//   1 weight = (2 - w h) g
//
// "Stitcher: Feedback-driven Data Provider for Object Detection", Chen et al., arXiv 2004.12432, has the same
// share, and 0.1 as the best threshold.
#pragma once

#include "cuda/matching.h"

namespace osprey {

struct FeedbackRule {
  float enough = .1f;           // above 0
  float strength = 1;           // the gain of a vanishing object with a vanishing share, less 1
  float small_area = 32 * 32;   // of small objects at most, in pixels of the network input, as COCO has it
  float momentum = 0;           // of the share: what it keeps of its value before
  float width = 0, height = 0;  // of the network input; 0: without the factor 2 - w h

  HOST_DEVICE bool is_small(Box truth) const { return area(truth) <= small_area; }
  HOST_DEVICE float size_weight(Box truth) const {
    return width > 0 ? 2 - area(truth) / (width * height) : 1;
  }
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

// share [1,1,1,1] lasts from step to step, begins with 0, and is seen as a constant by gradients.
// match [N,1,1,A]: a matcher's.
namespace cpu {
// Writes weights [N,1,1,A]: of each positive that of its truth, else 0.
void feedback_weights(Stream&, View<const int> match, BoxLists truths, FeedbackRule, View<const float> share,
                      View<float> weights);
// After them: moves the share on. losses [N,1,1,A]: of boxes, without weights; read for positives alone. They
// count by their size weight but without the gain, which would otherwise drive itself.
void feedback_share(Stream&, View<const int> match, BoxLists truths, View<const float> losses, FeedbackRule,
                    View<float> share);
}  // namespace cpu

namespace cuda {
void feedback_weights(Stream&, View<const int> match, BoxLists truths, FeedbackRule, View<const float> share,
                      View<float> weights);
void feedback_share(Stream&, View<const int> match, BoxLists truths, View<const float> losses, FeedbackRule,
                    View<float> share);
}  // namespace cuda

}  // namespace osprey
