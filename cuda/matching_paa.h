// Each truth splits its candidates in two groups by how well the network does on them, of low and of high
// loss, and takes the former. "Probabilistic Anchor Assignment with IoU Prediction for Object Detection", Kim
// and Lee, ECCV 2020, section 3.
//
// Candidates come from a first matching: of the anchors that it gives a truth, the k of lowest score (loss)
// of each level. To their scores a mixture of two normal distributions is fitted, see core/gmm.h. A single
// candidate is taken. All other anchors are background.
#pragma once

#include "core/gmm.h"
#include "cuda/levels.h"
#include "cuda/matching_max_iou.h"

namespace osprey {

// The first matching: everything that overlaps a truth a little, as in the authors' code.
inline MaxIouRule paa_first_matching() {
  MaxIouRule rule;
  rule.foreground = rule.background = .1f;
  rule.low_quality = LowQuality::own_truth;
  return rule;
}

// The kernel has shared memory for the candidates of all levels of a truth.
constexpr int kMostPaaCandidates = 512;

// Reads first [N,1,1,A]: what each anchor is matched with; score [N,1,1,A]: where that is a truth, the
// anchor's class and box loss; elsewhere anything. Of the truths only their number counts. Writes match
// [N,1,1,A], where there is no kIgnored; candidates [N,capacity of truths,levels,k]: of each truth and level,
// -1 where there are no more; ends [N,1,1,capacity of truths]: of each truth the anchor with the highest
// score that it takes, -1 if it has no candidate. Nothing is written to the latter two for truths that an
// image lacks. levels * k is at most kMostPaaCandidates.
namespace cpu {
void paa_matching(Stream&, View<const int> first, View<const float> score, AnchorLevels, BoxLists truths,
                  MixtureRule, View<int> candidates, View<int> ends, View<int> match);
}
namespace cuda {
void paa_matching(Stream&, View<const int> first, View<const float> score, AnchorLevels, BoxLists truths,
                  MixtureRule, View<int> candidates, View<int> ends, View<int> match);
}

}  // namespace osprey
