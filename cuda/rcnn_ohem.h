// Online hard example mining in the second stage: every RoI has a loss, and those learn that do worst.
// "Training Region-based Object Detectors with Online Hard Example Mining", Shrivastava et al., CVPR 2016,
// section 4. The choice itself is cuda/soft_nms.h's and cuda/sampler.h's; here is what brings RoIs there and
// back. The CPU side is in layers/heads/rcnn_ohem.cpp, the kernels in cuda/rcnn_ohem.cu.
#pragma once

#include "cuda/rcnn.h"
#include "cuda/soft_nms.h"

namespace osprey {

// The places of a table [N,1,R,kRoiEntries] as what chooses reads them. A place that has no label has the
// loss SoftNmsRule::kGone.
struct HardRois {
  View<Box> boxes;     // [N,1,1,R]
  View<int> counts;    // [N,1,1,1]: R
  View<int> match;     // [N,1,1,R]: 0 for an object, kBackground, or kIgnored
  View<float> losses;  // [N,1,1,R]: of class and box
};

// Of a RoI with this label.
HOST_DEVICE inline float hardness(const RcnnRule& rule, int label, float of_class, float of_box) {
  if (label == RoiTargets::kNothing) return SoftNmsRule::kGone;
  return rule.class_factor * of_class + (label == rule.background() ? 0 : rule.box_factor * of_box);
}
HOST_DEVICE inline int kind_of(const RcnnRule& rule, int label) {
  return label == RoiTargets::kNothing ? kIgnored : label == rule.background() ? kBackground : 0;
}

namespace cpu {
void gather_hard_rois(Stream&, View<const float> table, RoiTargets targets, RoiLosses losses, RcnnRule,
                      HardRois hard);
// Takes the labels of the RoIs that `weights` [N,1,1,R] has 0 for.
void keep_chosen(Stream&, View<const float> weights, RoiTargets targets);
}  // namespace cpu

namespace cuda {
void gather_hard_rois(Stream&, View<const float> table, RoiTargets targets, RoiLosses losses, RcnnRule,
                      HardRois hard);
void keep_chosen(Stream&, View<const float> weights, RoiTargets targets);
}  // namespace cuda

}  // namespace osprey
