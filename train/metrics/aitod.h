// The metrics of AI-TOD, the data set of tiny objects seen from above: COCO's with other sizes, and with up
// to 1500 detections of an image. "Tiny Object Detection in Aerial Images", Wang et al., ICPR 2020.
#pragma once

#include "train/metrics/coco.h"

namespace osprey {

// Very tiny, tiny, small, medium: up to 8 x 8, 16 x 16, 32 x 32 pixels, and all that is larger. An object
// whose area is a bound is of both sizes. Figures are 0..1, or -1 where there is nothing to measure.
struct AitodMetrics {
  double ap = -1, ap50 = -1, ap75 = -1;
  double ap_very_tiny = -1, ap_tiny = -1, ap_small = -1, ap_medium = -1;
  double ar1 = -1, ar100 = -1, ar1500 = -1;
  double ar_very_tiny = -1, ar_tiny = -1, ar_small = -1, ar_medium = -1;
  std::vector<double> per_class;  // AP
};

AitodMetrics aitod_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                           int classes);

}  // namespace osprey
