// Metrics in words, for people, and as JSON, for programs.
#pragma once

#include <string>
#include <vector>

#include "train/metrics/aitod.h"
#include "train/metrics/coco.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/voc.h"

namespace osprey {

// Tables to stdout, in percent. `names` of the classes, as many as per_class.
void print_metrics(const CocoMetrics& metrics, const std::vector<std::string>& names);
void print_metrics(const AitodMetrics& metrics, const std::vector<std::string>& names);
void print_metrics(const VocMetrics& metrics, const std::vector<std::string>& names, VocPoints points,
                   double iou_threshold);
void print_metrics(const DarknetMap& metrics, const std::vector<std::string>& names,
                   const DarknetMapOptions& options);

// The same as one JSON object, as fractions 0..1, and -1 where there was nothing to measure. COCO's has the
// keys AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl; AI-TOD's AP AP50 AP75 APvt APt APs APm AR1 AR100
// AR1500 ARvt ARt ARs ARm; the others have mAP; all have per_class {name: AP}.
std::string metrics_json(const CocoMetrics& metrics, const std::vector<std::string>& names);
std::string metrics_json(const AitodMetrics& metrics, const std::vector<std::string>& names);
std::string metrics_json(const VocMetrics& metrics, const std::vector<std::string>& names);
std::string metrics_json(const DarknetMap& metrics, const std::vector<std::string>& names);

}  // namespace osprey
