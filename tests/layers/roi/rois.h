// RoIs for the tests: each image has several places, not all of which are filled.
#pragma once

#include "cuda/roi_levels.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {

struct OwnRois {
  std::vector<Box> boxes;
  std::vector<int> counts, levels;
  Rois rois;

  // Boxes in and around an image of the size; among them some without area, some inside out, some beyond the
  // image and one that is not a number. RoIs alternate between two levels, or are all on level 0.
  OwnRois(std::vector<int> filled, int places, float width, float height, bool two_levels, uint64_t seed)
      : counts(std::move(filled)) {
    const int images = int(counts.size());
    for (int i = 0; i < images * places; ++i) {
      Random random(seed, Purpose::test, 1, i);
      const float x = random.uniform(-.2f, 1) * width, y = random.uniform(-.2f, 1) * height;
      Box box = {x, y, x + random.uniform(0, .6f) * width, y + random.uniform(0, .6f) * height};
      if (i % 7 == 3) box = {x, y, x, y};
      if (i % 11 == 5) std::swap(box.x1, box.x2);
      if (i % 13 == 7) box = {x + 2 * width, y, x + 3 * width, y + 5};
      if (i % 17 == 8) box.y1 = NAN;
      boxes.push_back(box);
      levels.push_back(i % 2);
    }
    const Shape shape = {images, 1, 1, places};
    rois = {{boxes.data(), shape}, {counts.data(), {images, 1, 1, 1}}, {}};
    if (two_levels) rois.levels = View<const int>(levels.data(), shape);
  }
};

}  // namespace osprey::test
