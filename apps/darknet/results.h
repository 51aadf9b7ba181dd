// Detections in the files of `detector valid`: of VOC, COCO, ImageNet, BDD100K and KITTI.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/detections.h"

namespace osprey::darknet {

class Results {
 public:
  virtual ~Results() = default;
  // Of the next image of the data set, which has this size in pixels.
  virtual void add(const Sample& sample, int width, int height, const std::vector<Detection>& found) = 0;
  virtual std::vector<std::string> write() = 0;  // returns the files' names
};

// As `eval` of the .data file says, in the folder `results` of it, which must be there. `prefix` replaces the
// beginning of the files' names, or the name of the only one. Error: an `eval` that does not exist.
std::unique_ptr<Results> make_results(const DataFile& data, const Dataset& dataset,
                                      const std::string& prefix);

// The category of each of COCO's 80 classes, 1 to 90.
int coco_category(int class_id);

// The number that COCO gives an image: the digits at the end of its name, without the extension:
// COCO_val2014_000000000042.jpg is 42. Error: there are none.
int64_t coco_image_id(const std::string& path);

}  // namespace osprey::darknet
