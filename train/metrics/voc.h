// PASCAL VOC's mean average precision.
#pragma once

#include <vector>

#include "train/metrics/boxes.h"
#include "train/metrics/precision_recall.h"

namespace osprey {

struct VocClass {
  double ap = -1;  // 0..1; -1 without a truth that is not difficult
  int truths = 0;  // without the difficult ones
  PrecisionRecall curve;
};

struct VocMetrics {
  double map = -1;  // over the classes with truths; -1 if there are none
  std::vector<VocClass> per_class;
};

enum class VocPoints { eleven /* 2007 */, all /* 2010 */ };

// Everingham et al., IJCV 2010, section 4.2, as the development kit and detectron2 compute it: a detection,
// best score first, looks at the truth of its class and image which it overlaps most, and only at that one.
// It is true if their IoU is above the threshold (not equal) and nothing took that truth before. Difficult
// truths and crowds are not counted, nor is what matches them.
VocMetrics voc_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                       int classes, VocPoints points, double iou_threshold = 0.5);

}  // namespace osprey
