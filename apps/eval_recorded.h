// `osprey eval` on recorded detections: no network, two JSON files.
#pragma once

#include <string>

#include "train/metrics/boxes.h"

namespace osprey {

struct RecordedOptions {
  std::string truth, detections;  // COCO's ground truth and results
  std::string metric = "coco";    // coco, aitod, voc07, voc or map
  int points = 0;                 // map: 0, 11 or 101
  double iou_threshold = 0.5;     // all but coco and aitod
  double confidence = 0.25;       // map
  bool json = false;              // one JSON object instead of tables
};

// What was found in a set of images, measured by options.metric and printed to stdout. `names`: one per
// class. Throws Error for a metric or points that do not exist.
void print_evaluation(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                      const std::vector<std::string>& names, const RecordedOptions& options);

// The same for the two files, whose errors are read_recorded()'s.
void evaluate_recorded(const RecordedOptions& options);

}  // namespace osprey
