// Anchors and truths for the tests of matchers, in memory of the test's own.
#pragma once

#include <algorithm>
#include <vector>

#include "core/random.h"
#include "cuda/matching.h"

namespace osprey::test {

// Corners at multiples of 4 within 64 pixels, so that overlaps tie, some boxes are equal, and some have no
// area.
inline std::vector<Box> coarse_boxes(int count, uint64_t seed) {
  std::vector<Box> boxes;
  for (int i = 0; i < count; ++i) {
    Random random(seed, Purpose::test, 2, i);
    const float x = 4 * float(random.below(12)), y = 4 * float(random.below(12));
    boxes.push_back({x, y, x + 4 * float(random.below(6)), y + 4 * float(random.below(6))});
  }
  return boxes;
}

// The boxes of each image, the first of them where there is no room for all. The rest of the room is filled
// with a box that overlaps everything: whoever reads it, shows.
class OwnBoxLists {
 public:
  OwnBoxLists(const std::vector<std::vector<Box>>& images, int capacity)
      : boxes_(images.size() * size_t(capacity), Box{0, 0, 64, 64}) {
    for (size_t n = 0; n < images.size(); ++n) {
      counts_.push_back(int(images[n].size()));
      std::copy_n(images[n].begin(), std::min(counts_[n], capacity), boxes_.begin() + n * size_t(capacity));
    }
    lists.boxes = {boxes_.data(), {int(images.size()), 1, 1, capacity}};
    lists.counts = {counts_.data(), {int(images.size()), 1, 1, 1}};
  }
  OwnBoxLists(const OwnBoxLists&) = delete;

  BoxLists lists;

 private:
  std::vector<Box> boxes_;
  std::vector<int> counts_;
};

inline View<const Box> same_for_all_images(const std::vector<Box>& anchors) {
  return {anchors.data(), {1, 1, 1, int(anchors.size())}};
}

}  // namespace osprey::test
