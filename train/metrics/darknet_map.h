// Mean average precision as `darknet detector map` computes it (AlexeyAB's Darknet), quirks included, so that
// figures of the two can be compared to the last digit.
#pragma once

#include <vector>

#include "train/metrics/boxes.h"

namespace osprey {

struct DarknetMapOptions {
  int points = 0;  // 0: area under the curve; 11: VOC 2007; 101: as COCO
  double iou_threshold = 0.5;
  double confidence = 0.25;  // for true_positives and all that follows from them
};

struct DarknetClass {
  double ap = 0;  // 0..1; 0 for a class without truths, which lowers the mean
  int truths = 0;
  int true_positives = 0, false_positives = 0;  // at the confidence
};

struct DarknetMap {
  double map = 0;  // over all classes
  int detections = 0, truths = 0;
  int true_positives = 0, false_positives = 0, false_negatives = 0;
  double precision = 0, recall = 0, f1 = 0;
  double average_iou = 0;  // summed over true positives, divided by true and false ones
  std::vector<DarknetClass> per_class;
};

// Error: other points than 0, 11 and 101.
void check(const DarknetMapOptions& options);

// The order of `detections` within an image matters where two of them match one truth: at the confidence, the
// first of them is the true positive, if its score is above the confidence; else there is none. Darknet's own
// order is that of its boxes after NMS. The options are check()ed.
//
// Differences to VOC: a detection that matches no truth but a difficult one is out of the ranking, but a
// false positive at the confidence; a class without truths counts as 0 in the mean; the recalls of the mean
// over points are multiples of 1/10 or 1/100.
DarknetMap darknet_map(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                       int classes, const DarknetMapOptions& options = {});

}  // namespace osprey
