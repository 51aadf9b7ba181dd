// Soft-NMS: a box that overlaps a better one loses score, and may still come later. "Soft-NMS -- Improving
// Object Detection With One Line of Code", Bodla et al., ICCV 2017. The CPU side is in
// layers/nms/soft_nms.cpp, the kernel in cuda/soft_nms.cu.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

enum class SoftNmsKind { hard, linear, gaussian };

struct SoftNmsRule {
  SoftNmsKind kind = SoftNmsKind::linear;
  float threshold = 0.3f;       // of hard and linear: overlaps above it cost score,
  bool from_threshold = false;  // or also those that equal it, as in mmcv; the authors' code is strict
  float sigma = 0.5f;           // of gaussian
  float min_score = 0.001f;     // boxes with less are gone, whether they begin so or come to it

  static constexpr float kGone = -INFINITY;

  // What is left of `score` beside a better box: linear score (1 - IoU), the paper's eq. before (3); gaussian
  // score exp(-IoU^2 / sigma), its eq. (3); hard nothing, as in plain NMS. kGone if that is too little.
  // Scores may be negative (logits) with hard only.
  HOST_DEVICE float decayed(float score, Box better, Box other) const {
    const float overlap = iou(better, other);
    const bool costs = from_threshold ? overlap >= threshold : overlap > threshold;
    if (kind == SoftNmsKind::hard) return costs ? kGone : score;
    float left = score;
    if (kind == SoftNmsKind::gaussian)
      left = score * expf(-overlap * overlap / sigma);
    else if (costs)
      left = score * (1 - overlap);
    return left >= min_score ? left : kGone;
  }
};

// R places for boxes in each of N images, of which the first counts[n] are filled; K classes, each of which
// is by itself.
struct SoftNmsLists {
  View<const Box> boxes;      // [N,1,1,R]; or [N,1,K,R] where each class has boxes of its own
  View<const int> counts;     // [N,1,1,1]
  View<float> scores;         // [N,1,K,R]: read, and replaced by what is left; kGone for boxes that are gone
  View<int> selected;         // [N,1,K,R]: the boxes that are left, best first; then -1
  View<int> selected_counts;  // [N,1,1,K]

  HOST_DEVICE int capacity() const { return scores.shape.c; }
  HOST_DEVICE int count(int image) const { return counts[image] < capacity() ? counts[image] : capacity(); }
  HOST_DEVICE Box box(int image, int class_id, int i) const {
    return boxes(image, 0, boxes.shape.w == 1 ? 0 : class_id, i);
  }
};

namespace cpu {
// Selects, again and again, the box with the highest score left (of equal ones the first in the list), which
// then costs the others score.
void soft_nms(Stream&, SoftNmsLists, SoftNmsRule);
}  // namespace cpu

namespace cuda {
void soft_nms(Stream&, SoftNmsLists, SoftNmsRule);
}  // namespace cuda

}  // namespace osprey
