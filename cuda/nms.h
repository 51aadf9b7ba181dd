// Non-maximum suppression, shared by both devices: which of two boxes silences the other. The CPU's lists are
// in layers/nms/nms.cpp, the kernels in cuda/nms.cu.
#pragma once

#include <cmath>

#include "core/box.h"
#include "cuda/detections.h"

namespace osprey {

enum class NmsKind { standard, greedy, diou };  // Darknet's default, greedynms, diounms

// What Darknet compares with the threshold: plain IoU ("standard"), or IoU less (d^2/c^2)^power, where d is
// the distance of the centres and c the diagonal of the enclosing box: power 0.6 for greedynms, which does
// not read `beta`; `beta` for diounms.
HOST_DEVICE inline float nms_overlap(Box a, Box b, NmsKind kind, float beta) {
  const float overlap = iou(a, b);
  if (kind == NmsKind::standard || overlap == 0) return overlap;
  return overlap - powf(centre_distance(a, b), kind == NmsKind::greedy ? 0.6f : beta);
}

struct NmsRule {
  float threshold = 0.45f;  // at least 0
  NmsKind kind = NmsKind::standard;
  float beta = 0.6f;

  // Whether `a`, which stays, silences `b`.
  HOST_DEVICE bool suppresses(Box a, Box b) const {
    // Boxes apart have no overlap of any kind above 0: most pairs end here.
    if (b.x1 >= a.x2 || b.x2 <= a.x1 || b.y1 >= a.y2 || b.y2 <= a.y1) return false;
    return nms_overlap(a, b, kind, beta) > threshold;
  }
};

namespace cuda {
// Writes lists.kept: for each class by itself, of the candidates whose score is above `score_threshold` (at
// least 0), in falling order of score (equal ones in that of the list), those that none before them
// suppresses. Without `suppress` all of them are kept.
void nms(Stream&, const DetectionLists&, float score_threshold, bool suppress, NmsRule);
}  // namespace cuda

}  // namespace osprey
