#include "cuda/roi_levels.h"

namespace osprey::cpu {

void roi_levels(Stream&, Rois rois, View<int> levels, RoiLevelRule rule) {
  for (int image = 0; image < levels.shape.n; ++image) {
    for (int r = 0; r < rois.capacity(); ++r)
      levels(image, 0, 0, r) = r < rois.count(image) ? roi_level(rois.boxes(image, 0, 0, r), rule) : -1;
  }
}

}  // namespace osprey::cpu
