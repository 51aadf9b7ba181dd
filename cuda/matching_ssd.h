// Each truth takes the anchor it overlaps most, whatever the threshold says, and each other anchor is matched
// with the truth it overlaps most, if by enough. "SSD: Single Shot MultiBox Detector", Liu et al., ECCV 2016,
// section 2.2.
//
// Each truth chooses for itself (torchvision): of equal overlaps the first anchor, and an anchor that several
// truths choose goes to the last of them, so that the others may have none. Even a truth that overlaps no
// anchor takes one, the first. The authors' own code instead takes the best pair of all that is left, again
// and again.
#pragma once

#include "cuda/matching.h"

namespace osprey {

// Writes match [N,1,1,A]: a truth or kBackground; chosen [N,1,1,capacity of truths]: the anchor of each
// truth, -1 beyond the last. `threshold` is included.
namespace cpu {
void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match);
}
namespace cuda {
void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match);
}

}  // namespace osprey
