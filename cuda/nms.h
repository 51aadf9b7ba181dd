// Non-maximum suppression, shared by both devices: which of two boxes silences the other. The CPU's lists are
// in layers/nms/nms.cpp, the kernels in cuda/nms.cu. Kinds that lower scores instead are in cuda/soft_nms.h.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/nwd.h"
#include "cuda/detections.h"
#include "cuda/soft_nms.h"

namespace osprey {

enum class NmsKind {
  standard,     // by IoU
  greedy,       // Darknet's greedynms
  diou_power,   // Darknet's diounms
  diou,         // by DIoU: "Distance-IoU Loss", Zheng et al., AAAI 2020
  nwd,          // by the normalised Wasserstein distance of core/nwd.h
  soft_linear,  // these lower the scores of boxes that overlap instead of silencing them
  soft_gaussian,
};
HOST_DEVICE inline bool is_soft(NmsKind kind) {
  return kind == NmsKind::soft_linear || kind == NmsKind::soft_gaussian;
}

// What kinds by IoU compare with the threshold: it alone, or less (d^2/c^2)^power, where d is the distance of
// the centres and c the diagonal of the enclosing box: power 1 for diou; 0.6 for greedynms, which does not
// read `beta`; `beta` for diounms.
HOST_DEVICE inline float nms_overlap(Box a, Box b, NmsKind kind, float beta) {
  const float overlap = iou(a, b);
  if (kind == NmsKind::standard || overlap == 0) return overlap;
  if (kind == NmsKind::diou) return overlap - centre_distance(a, b);
  return overlap - powf(centre_distance(a, b), kind == NmsKind::greedy ? 0.6f : beta);
}

// The kinds that are not soft.
struct NmsRule {
  float threshold = 0.45f;  // at least 0
  NmsKind kind = NmsKind::standard;
  float beta = 0.6f;            // of diou_power
  float constant = 12.8f;       // of nwd: its C, pixels
  float width = 1, height = 1;  // diou and nwd measure in pixels: how many of them a unit of the boxes is

  // For boxes in units of an image that lies so in the network input, whose units this rule is for. Pixels
  // are those of the network input.
  HOST_DEVICE NmsRule in_image(Placement p) const {
    NmsRule rule = *this;
    rule.width *= p.w;
    rule.height *= p.h;
    return rule;
  }

  // Whether `a`, which stays, silences `b`.
  HOST_DEVICE bool suppresses(Box a, Box b) const {
    if (kind == NmsKind::diou || kind == NmsKind::nwd)
      a = scaled(a, width, height), b = scaled(b, width, height);
    if (kind == NmsKind::nwd) return nwd(a, b, constant) > threshold;  // boxes apart too
    // Boxes apart have no overlap of any kind above 0: most pairs end here.
    if (b.x1 >= a.x2 || b.x2 <= a.x1 || b.y1 >= a.y2 || b.y2 <= a.y1) return false;
    return nms_overlap(a, b, kind, beta) > threshold;
  }
};

namespace cuda {
// Writes lists.kept: for each class by itself, of the candidates whose score is above `score_threshold` (at
// least 0), in falling order of score (equal ones in that of the list), those that none before them
// suppresses. Without `suppress` all of them are kept. The rule is for units of the network input. If the
// classes are not apart, every candidate must be of one class only.
void nms(Stream&, const DetectionLists&, float score_threshold, bool suppress, NmsRule,
         bool classes_apart = true);

// The same by the rule of a soft kind: writes lists.decayed, what it leaves of the scores, and lists.kept.
void soft_nms(Stream&, const DetectionLists&, float score_threshold, SoftNmsRule, bool classes_apart = true);

// Makes every candidate one of its best class only (the first of equals), or of none if no score is above the
// threshold.
void keep_best_class(Stream&, const DetectionLists&, float score_threshold);
}  // namespace cuda

}  // namespace osprey
