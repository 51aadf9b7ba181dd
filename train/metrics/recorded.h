// Recorded evaluations: a ground truth and the detections of any detector, as the two JSON files that COCO's
// tools take. https://cocodataset.org/#format-data and #format-results
#pragma once

#include <string>
#include <vector>

#include "train/metrics/boxes.h"

namespace osprey {

struct Recorded {
  std::vector<std::string> class_names;  // in the order of the categories' ids
  int images = 0;
  std::vector<TruthBox> truths;  // image: the place of its id among all, sorted
  std::vector<DetectedBox> detections;
};

// The truth has "images" (id), "annotations" (image_id, category_id, bbox; area, iscrowd, and difficult or
// ignore if there) and "categories" (id, name); the detections are a list of {image_id, category_id, bbox,
// score}, in the truth's ids. A bbox is [x, y, width, height] in pixels. Throws Error naming the file and the
// entry: not JSON (line and column), a missing or malformed key, an id that the truth does not have.
Recorded read_recorded(const std::string& truth_path, const std::string& detections_path);

}  // namespace osprey
