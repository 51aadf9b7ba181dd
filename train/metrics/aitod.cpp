#include "train/metrics/aitod.h"

namespace osprey {

AitodMetrics aitod_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                           int classes) {
  CocoOptions options;
  options.max_detections = {1, 100, 1500};
  options.areas = {{}, {0, 8 * 8}, {8 * 8, 16 * 16}, {16 * 16, 32 * 32}, {32 * 32, 1e10}};
  const CocoTable table = coco_table(truths, detections, classes, options);
  AitodMetrics metrics;
  metrics.ap = table.average_precision(0);
  metrics.ap50 = table.average_precision(0, 0);
  metrics.ap75 = table.average_precision(0, 5);
  metrics.ap_very_tiny = table.average_precision(1);
  metrics.ap_tiny = table.average_precision(2);
  metrics.ap_small = table.average_precision(3);
  metrics.ap_medium = table.average_precision(4);
  metrics.ar1 = table.average_recall(0, 0);
  metrics.ar100 = table.average_recall(0, 1);
  metrics.ar1500 = table.average_recall(0, 2);
  metrics.ar_very_tiny = table.average_recall(1, 2);
  metrics.ar_tiny = table.average_recall(2, 2);
  metrics.ar_small = table.average_recall(3, 2);
  metrics.ar_medium = table.average_recall(4, 2);
  for (int k = 0; k < classes; ++k) metrics.per_class.push_back(table.average_precision(0, -1, k));
  return metrics;
}

}  // namespace osprey
