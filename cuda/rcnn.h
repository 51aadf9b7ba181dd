// The last stage of two-stage detectors: from what a network says of each RoI to its loss, to detections, or
// to better RoIs. "Fast R-CNN", Girshick, ICCV 2015, section 2.3. The CPU side is in layers/heads/rcnn.cpp
// and rcnn_loss.cpp, the kernels in cuda/rcnn.cu and rcnn_loss.cu.
//
// RoIs are a table [N,1,R,kRoiEntries] (core/roi_table.h). Of each place there is a row of logits
// [N*R,1,1,K+1], K classes and the background, and a row of deltas from the RoI: four for all classes,
// [N*R,1,1,4], or four for each, [N*R,1,1,4K] or with the background's, which mean nothing, [N*R,1,1,4(K+1)].
#pragma once

#include "core/feedback.h"
#include "core/roi_table.h"
#include "core/row_box_loss.h"
#include "cuda/box_coder.h"
#include "cuda/matching.h"
#include "cuda/truth_lists.h"

namespace osprey {

struct RcnnRule {
  int classes = 0;                // K, without the background
  bool background_first = false;  // of the logits; else it is the last
  int deltas = 4;                 // in a row: 4, 4K or 4(K+1)
  BoxCoder coder = {10, 5};
  RowBoxLoss box_loss = {true, 1 / 9.f, {}};
  float class_factor = 1, box_factor = 1;  // of the losses
  float width = 0, height = 0;             // of the network input, pixels
  float min_size = 0;                      // pixels: narrower or lower boxes are not detections
  Feedback feedback;

  HOST_DEVICE int background() const { return background_first ? 0 : classes; }
  HOST_DEVICE int logit_of(int class_id) const { return class_id + (background_first ? 1 : 0); }
  HOST_DEVICE int class_of(int logit) const { return logit - (background_first ? 1 : 0); }
  // Where the deltas of a class begin in their row.
  HOST_DEVICE int deltas_of(int class_id) const {
    return deltas == 4 ? 0 : deltas == 4 * classes ? 4 * class_id : 4 * logit_of(class_id);
  }
  HOST_DEVICE int boxes_of_roi() const { return deltas == 4 ? 1 : classes; }
};

HOST_DEVICE inline Deltas deltas_at(const float* row) { return {row[0], row[1], row[2], row[3]}; }

struct RoiCost {
  float loss = 0, overlap = 0;  // overlap: IoU of the decoded box and the truth
  Deltas slopes;                // along the deltas
};

HOST_DEVICE inline RoiCost cost_of_roi(const RcnnRule& rule, Deltas d, Box roi, Box truth) {
  const Box box = rule.coder.decode(d, roi);
  const float overlap = iou(box, truth);
  const RowBoxLoss::Cost cost = rule.box_loss.cost(rule.coder, d, roi, truth);
  return {cost.loss, overlap, cost.slopes};
}

// What a RoI is taught, for the places of a table in order. `label` is that of a logit, or kNothing.
struct RoiTargets {
  static constexpr int kNothing = -1;
  View<int> labels;           // [N*R,1,1,1]
  View<float> truths;         // [N*R,1,1,4]: corners in pixels; of those matched with a truth
  View<float> class_weights;  // [N*R,1,1,1]: of its class loss in the sum over the mini-batch; 0: it has none
  View<float> box_weights;    // [N*R,1,1,1]: of its box loss, with the gain of the feedback
};

// The label of a RoI, from the truths of its image. Places that are not filled and RoIs that matching ignored
// learn nothing; nor do RoIs without area, from which no box can be encoded, and truths of other classes.
HOST_DEVICE inline int label_of_roi(const RcnnRule& rule, const RoiRow& roi, const TruthLists& truths,
                                    int image) {
  if (roi.match == kBackground) return rule.background();
  if (roi.match < 0 || roi.match >= truths.lists().count(image)) return RoiTargets::kNothing;
  const int class_id = truths.labels(image, 0, 0, roi.match);
  if (class_id < 0 || class_id >= rule.classes) return RoiTargets::kNothing;
  if (!(roi.box.x2 > roi.box.x1 && roi.box.y2 > roi.box.y1)) return RoiTargets::kNothing;
  return rule.logit_of(class_id);
}

// What each RoI costs; memory for a forward pass in training.
struct RoiLosses {
  View<float> of_class, of_box, overlaps;  // [N*R,1,1,1]
};

// The logits of several stages, whose probabilities are averaged ("Cascade R-CNN", Cai and Vasconcelos, CVPR
// 2018, section 4.3).
struct RoiLogits {
  static constexpr int kMost = 8;
  View<const float> of_stage[kMost];
  int count = 0;
};

// A refined RoI, which clipping must leave an area: else it stays as it was.
HOST_DEVICE inline Box refined(const RcnnRule& rule, Deltas d, Box roi) {
  const Box box = clipped(rule.coder.decode(d, roi), rule.width, rule.height);
  return box.x2 > box.x1 && box.y2 > box.y1 ? box : roi;
}

// A detection as heads say it: in units of the network input. False if there is none to tell.
HOST_DEVICE inline bool detected(const RcnnRule& rule, Deltas d, Box roi, CentreBox& box) {
  const Box inside = clipped(rule.coder.decode(d, roi), rule.width, rule.height);
  box = centre(
      {inside.x1 / rule.width, inside.y1 / rule.height, inside.x2 / rule.width, inside.y2 / rule.height});
  return inside.width() >= rule.min_size && inside.height() >= rule.min_size;
}

namespace cpu {
// Labels, truths and weights. Both losses are means over all labelled RoIs of the mini-batch, and what is
// taught is the sum over its images: a weight is N over their number, times the loss's factor.
void rcnn_targets(Stream&, View<const float> table, TruthLists truths, RcnnRule, RoiTargets targets);
void rcnn_weights(Stream&, int images, RcnnRule, RoiTargets targets);
// Of the RoIs with a box weight, else 0.
void rcnn_box_losses(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets, RcnnRule,
                     RoiLosses losses);
// Adds to ddeltas.
void rcnn_box_backward(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets,
                       RcnnRule, View<float> ddeltas);
// Adds the weighted sums to *report and moves the share of the feedback. y [N,1,R,1] receives what each RoI
// costs.
void rcnn_report(Stream&, RoiTargets targets, RoiLosses losses, RcnnRule, View<float> y, LossReport* report);

// y [N,1,R*B,5+K], B being 1 if all classes share a box, else K: rows as cuda/head.h has them. With a box for
// each class the row of a class has its probability as objectness, and 1 for that class alone; else the
// objectness is 1. It is 0 for rows that hold nothing.
void rcnn_rows(Stream&, RoiLogits logits, View<const float> deltas, View<const float> table, RcnnRule,
               View<float> y);
// `refined` [N,1,R,kRoiEntries]: RoIs moved by their deltas, as background; those of the likeliest class
// where each has its own.
void rcnn_refine(Stream&, View<const float> logits, View<const float> deltas, View<const float> table,
                 RcnnRule, View<float> refined);
}  // namespace cpu

namespace cuda {
void rcnn_targets(Stream&, View<const float> table, TruthLists truths, RcnnRule, RoiTargets targets);
void rcnn_weights(Stream&, int images, RcnnRule, RoiTargets targets);
void rcnn_box_losses(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets, RcnnRule,
                     RoiLosses losses);
void rcnn_box_backward(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets,
                       RcnnRule, View<float> ddeltas);
void rcnn_report(Stream&, RoiTargets targets, RoiLosses losses, RcnnRule, View<float> y, LossReport* report);
void rcnn_rows(Stream&, RoiLogits logits, View<const float> deltas, View<const float> table, RcnnRule,
               View<float> y);
void rcnn_refine(Stream&, View<const float> logits, View<const float> deltas, View<const float> table,
                 RcnnRule, View<float> refined);
}  // namespace cuda

}  // namespace osprey
