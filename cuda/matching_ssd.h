// Each truth takes the anchor it overlaps most, whatever the threshold says, and each other anchor is matched
// with the truth it overlaps most, if by enough. "SSD: Single Shot MultiBox Detector", Liu et al., ECCV 2016,
// section 2.2.
//
// Two ways to say which anchor a truth takes:
//
//   each    every truth chooses for itself (torchvision): of equal overlaps the first anchor, and an anchor
//   that
//           several truths choose goes to the last of them, so that the others may have none. Even a truth
//           that overlaps no anchor takes one, the first.
//   pairs   the truth and the anchor that overlap most, then the best pair of all that is left, and so on
//   (the
//           authors' code): no anchor has two truths. Of equal pairs that of the first anchor, then of the
//           first truth. Overlaps up to 1e-6 make no pair.
#pragma once

#include "cuda/matching.h"

namespace osprey {

enum class SsdMatching { each, pairs };

constexpr float kLeastPairOverlap = 1e-6f;

// Writes match [N,1,1,A]: a truth or kBackground; chosen [N,1,1,capacity of truths]: the anchor of each
// truth, -1 for one that has none and beyond the last. `threshold` is included.
namespace cpu {
void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match, SsdMatching kind);
}
namespace cuda {
void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match, SsdMatching kind);
}

}  // namespace osprey
