#include "apps/eval_recorded.h"

#include <cstdio>

#include "train/metrics/recorded.h"
#include "train/metrics/report.h"

namespace osprey {

void print_evaluation(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                      const std::vector<std::string>& names, const RecordedOptions& options) {
  const int classes = int(names.size());
  if (options.metric == "coco") {
    const CocoMetrics metrics = coco_metrics(truths, detections, classes);
    options.json ? void(std::puts(metrics_json(metrics, names).c_str())) : print_metrics(metrics, names);
  } else if (options.metric == "aitod") {
    const AitodMetrics metrics = aitod_metrics(truths, detections, classes);
    options.json ? void(std::puts(metrics_json(metrics, names).c_str())) : print_metrics(metrics, names);
  } else if (options.metric == "voc07" || options.metric == "voc") {
    const VocPoints points = options.metric == "voc" ? VocPoints::all : VocPoints::eleven;
    const VocMetrics metrics = voc_metrics(truths, detections, classes, points, options.iou_threshold);
    options.json ? void(std::puts(metrics_json(metrics, names).c_str()))
                 : print_metrics(metrics, names, points, options.iou_threshold);
  } else if (options.metric == "map") {
    const DarknetMapOptions map{options.points, options.iou_threshold, options.confidence};
    const DarknetMap metrics = darknet_map(truths, detections, classes, map);
    options.json ? void(std::puts(metrics_json(metrics, names).c_str())) : print_metrics(metrics, names, map);
  } else {
    fail("metric {}: expected coco, aitod, voc07, voc or map", options.metric);
  }
}

void evaluate_recorded(const RecordedOptions& options) {
  const Recorded recorded = read_recorded(options.truth, options.detections);
  print_evaluation(recorded.truths, recorded.detections, recorded.class_names, options);
}

}  // namespace osprey
