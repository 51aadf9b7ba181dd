// Each truth sets its own threshold: the mean plus the standard deviation of its overlaps with the k anchors
// of each level that lie nearest. "Bridging the Gap Between Anchor-based and Anchor-free Detection via
// Adaptive Training Sample Selection", Zhang et al., CVPR 2020, algorithm 1.
//
// Of these candidates the truth takes those that reach the threshold and have their centre inside of it. An
// anchor that several truths take goes to the one it overlaps most, of equal ones the first. All others are
// background; nothing is ignored.
#pragma once

#include "core/nwd.h"
#include "cuda/levels.h"
#include "cuda/matching.h"

namespace osprey {

struct AtssRule {
  float inside = .01f;     // an anchor's centre is farther than this from the truth's sides, in pixels
  bool inclusive = false;  // overlaps are those of boxes one pixel wider and higher, as in the authors' code

  HOST_DEVICE float overlap(Box anchor, Box truth) const {
    return inclusive ? iou(from_inclusive(anchor), from_inclusive(truth)) : iou(anchor, truth);
  }
  HOST_DEVICE bool is_inside(Box anchor, Box truth) const {
    const CentreBox c = centre(anchor);
    return c.x - truth.x1 > inside && truth.x2 - c.x > inside && c.y - truth.y1 > inside &&
           truth.y2 - c.y > inside;
  }
};

// Candidates have the lowest of these keys: of equal distances the first anchor counts.
HOST_DEVICE inline uint64_t distance_key(Box anchor, Box truth, int a) {
  return rising_key(squared_centre_distance(anchor, truth), a);
}

// Writes match [N,1,1,A]; overlap [N,1,1,A]: with the truth that is matched, -1 where none is; candidates
// [N,capacity of truths,levels,k]: of each truth and level the nearest anchors, -1 where there are no more;
// threshold [N,1,1,capacity of truths], which a single candidate always reaches. Nothing is written for
// truths that an image lacks.
namespace cpu {
void atss_matching(Stream&, View<const Box> anchors, AnchorLevels, BoxLists truths, AtssRule,
                   View<int> candidates, View<float> threshold, View<int> match, View<float> overlap);
}
namespace cuda {
void atss_matching(Stream&, View<const Box> anchors, AnchorLevels, BoxLists truths, AtssRule,
                   View<int> candidates, View<float> threshold, View<int> match, View<float> overlap);
}

}  // namespace osprey
