// Each anchor is matched with the truth it overlaps most, if by enough. "Faster R-CNN", Ren et al., NeurIPS
// 2015, section 3.1.2; RetinaNet and the second stage of R-CNN use the same rule with other thresholds, and
// detectors of tiny objects with another measure of overlap.
#pragma once

#include "core/similarity.h"
#include "cuda/matching.h"

namespace osprey {

// What becomes of the anchors whose overlap with some truth is the best that this truth gets (all of them, if
// several tie), though it may be below the threshold.
enum class LowQuality {
  none,         // nothing
  own_truth,    // each is matched with the truth it overlaps most, perhaps another (torchvision, detectron2)
  their_truth,  // each is matched with that truth, the last of several (mmdetection)
};

struct MaxIouRule {
  float foreground = .7f;  // anchors that overlap a truth by at least this are matched with it,
  float background = .3f;  // those below this are background, those between are ignored
  LowQuality low_quality = LowQuality::none;
  float least = 0;    // `their_truth`: only truths whose best overlap is at least this
  float covered = 1;  // anchors of which a larger part lies in one region are ignored, whatever they overlap
  SimilarityRule similarity;  // the measure of overlap

  HOST_DEVICE float overlap(Box anchor, Box truth) const { return similarity(anchor, truth); }
  HOST_DEVICE int judge(int truth, float overlap) const {
    return overlap >= foreground ? truth : overlap < background ? kBackground : kIgnored;
  }
};

// Of equal overlaps the first truth's counts. Writes match [N,1,1,A]; overlap [N,1,1,A]: the largest, 0
// without truths, -1 for anchors in regions; best [N,1,1,capacity of truths]: of each truth, over the anchors
// outside of regions, unless low_quality is `none`. Without truths all anchors outside of regions are
// background.
namespace cpu {
void max_iou_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, MaxIouRule,
                      View<float> best, View<int> match, View<float> overlap);
}
namespace cuda {
void max_iou_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, MaxIouRule,
                      View<float> best, View<int> match, View<float> overlap);
}

}  // namespace osprey
