// COCO's metrics, as pycocotools computes them: https://cocodataset.org/#detection-eval
#pragma once

#include <vector>

#include "train/metrics/boxes.h"

namespace osprey {

// Objects are evaluated by size: those outside the range, ends included, are neither missed nor found.
struct AreaRange {
  double low = 0, high = 1e10;  // pixels
};

struct CocoOptions {
  std::vector<double> iou_thresholds;           // empty: 0.5, 0.55 .. 0.95
  int recall_points = 101;                      // 0, 0.01 .. 1
  std::vector<int> max_detections{1, 10, 100};  // the best of each class and image, rising
  std::vector<AreaRange> areas{{}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};
};

// All figures, each 0..1, or -1 where a class has no truth of that size.
// T thresholds, R recall points, K classes, A areas, M maxima of detections.
struct CocoTable {
  int thresholds = 0, recall_points = 0, classes = 0, areas = 0, maxima = 0;
  std::vector<double>
      precision;  // [T,R,K,A], of the largest maximum: the best precision at that recall or beyond
  std::vector<double> recall;  // [T,K,A,M]: the largest recall reached

  double precision_at(int t, int r, int k, int a) const {
    return precision[((size_t(t) * recall_points + r) * classes + k) * areas + a];
  }
  double recall_at(int t, int k, int a, int m) const {
    return recall[((size_t(t) * classes + k) * areas + a) * maxima + m];
  }
  // The mean of what is not -1; -1 if all is. A threshold or class of -1 stands for all of them.
  double average_precision(int area, int threshold = -1, int class_id = -1) const;
  double average_recall(int area, int maximum) const;
};

// Per class and image, the detections with the best scores choose, best first, the free truth with the
// largest IoU, not below the threshold; the last one of equals. Truths outside the area and crowds are chosen
// only when no other is left, and then nothing is counted. For a crowd, IoU is the part of the detection
// inside it. The rest is as in "Microsoft COCO", Lin et al., ECCV 2014, and its code, cocoeval.py. (The code
// has one fault that is not followed: it takes a match with an annotation whose id is 0 for no match.)
CocoTable coco_table(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                     int classes, const CocoOptions& options = {});

// The twelve numbers of COCO's table; small, medium, large: below 32 x 32 pixels, below 96 x 96, larger.
struct CocoMetrics {
  double ap = -1, ap50 = -1, ap75 = -1, ap_small = -1, ap_medium = -1, ap_large = -1;
  double ar1 = -1, ar10 = -1, ar100 = -1, ar_small = -1, ar_medium = -1, ar_large = -1;
  std::vector<double> per_class;    // AP
  std::vector<double> per_class50;  // AP50
};

CocoMetrics coco_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                         int classes);

}  // namespace osprey
