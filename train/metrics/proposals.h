// How many of the objects a set of proposals has found, whatever they are: average recall.
#pragma once

#include <string>
#include <vector>

#include "train/metrics/boxes.h"

namespace osprey {

// Means over IoU thresholds 0.5, 0.55 .. 0.95 of the part of all objects that the best 100, 300 or 1000
// proposals of their image have found, each by one of its own; classes do not matter. "What Makes for
// Effective Detection Proposals?", Hosang et al., TPAMI 2016, computed as COCO's recall. -1 without truths.
struct ProposalRecall {
  double ar100 = -1, ar300 = -1, ar1000 = -1;
  double ar_small = -1, ar_medium = -1, ar_large = -1;  // of 1000, by COCO's sizes: 32 x 32, 96 x 96 pixels
  double recall50 = -1;                                 // of 1000, at IoU 0.5 alone
  int truths = 0;                                       // crowds not counted
  double proposals = 0;                                 // of an image, on average
};

// `images`: how many there were, those without truths or proposals included.
ProposalRecall proposal_recall(std::vector<TruthBox> truths, std::vector<DetectedBox> proposals, int images);

// In percent to stdout; or as one JSON object with the keys AR100 AR300 AR1000 ARs ARm ARl R50 truths
// proposals.
void print_metrics(const ProposalRecall& metrics);
std::string metrics_json(const ProposalRecall& metrics);

}  // namespace osprey
