// The CPU side of cuda/matching_ssd.h.
#include "cuda/matching_ssd.h"

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// The truth that the anchor overlaps most, the first of equal ones, if by the threshold.
int best_truth(Box anchor, const BoxLists& truths, int image, float threshold) {
  int best = kBackground;
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t) {
    const float overlap = iou(anchor, truths.box(image, t));
    if (overlap >= threshold && (best == kBackground || overlap > largest)) best = t, largest = overlap;
  }
  return best;
}

int best_anchor(View<const Box> anchors, int image, Box truth) {
  int best = 0;
  for (int a = 1; a < anchors.shape.c; ++a)
    if (iou(anchor_of(anchors, image, a), truth) > iou(anchor_of(anchors, image, best), truth)) best = a;
  return best;
}

}  // namespace

void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match) {
  for (int image = 0; image < match.shape.n; ++image) {
    parallel_for(anchors.shape.c, 256, [&](int64_t first, int64_t last) {
      for (int a = int(first); a < int(last); ++a)
        match(image, 0, 0, a) = best_truth(anchor_of(anchors, image, a), truths, image, threshold);
    });
    for (int t = 0; t < truths.capacity(); ++t) {
      const bool present = t < truths.count(image);
      chosen(image, 0, 0, t) = present ? best_anchor(anchors, image, truths.box(image, t)) : -1;
      if (present) match(image, 0, 0, chosen(image, 0, 0, t)) = t;
    }
  }
}

}  // namespace osprey::cpu
