// Points and what a head says of them, for the tests of matchers, in memory of the test's own.
#pragma once

#include "cuda/matching_points.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {

inline std::vector<Box> row_of_cells(int count) {
  std::vector<Box> cells;
  for (int i = 0; i < count; ++i) cells.push_back({8 * float(i), 0, 8 * float(i + 1), 8});
  return cells;
}

// As of three levels, of strides 4, 8 and 16, over 64 by 64 pixels; then again from the first.
inline std::vector<Box> coarse_cells(int count) {
  std::vector<Box> cells;
  for (float stride = 4; int(cells.size()) < count; stride = stride < 16 ? 2 * stride : 4)
    for (float y = 0; y < 64; y += stride)
      for (float x = 0; x < 64 && int(cells.size()) < count; x += stride)
        cells.push_back({x, y, x + stride, y + stride});
  return cells;
}

// As many images as there are boxes for each cell.
class OwnPoints {
 public:
  OwnPoints(std::vector<Box> cells, std::vector<Box> boxes, std::vector<float> classes,
            std::vector<float> objectness)
      : cells_(std::move(cells)),
        boxes_(std::move(boxes)),
        classes_(std::move(classes)),
        objectness_(std::move(objectness)) {
    const int points = count(), rows = int(boxes_.size()), images = rows / points;
    predictions.cells = same_for_all_images(cells_);
    predictions.boxes = {&boxes_[0].x1, {images, 1, points, 4}};
    predictions.classes = {classes_.data(), {images, 1, points, int(classes_.size()) / rows}};
    if (!objectness_.empty()) predictions.objectness = {objectness_.data(), {images, 1, points, 1}};
  }
  OwnPoints(const OwnPoints&) = delete;

  int count() const { return int(cells_.size()); }
  PointPredictions predictions;

 private:
  std::vector<Box> cells_, boxes_;
  std::vector<float> classes_, objectness_;
};

}  // namespace osprey::test
