#include "cuda/roi_levels.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per place.
__global__ void roi_levels_kernel(Rois rois, View<int> levels, RoiLevelRule rule) {
  const int i = global_thread();
  if (i >= levels.size()) return;
  const int image = i / rois.capacity(), r = i % rois.capacity();
  levels[i] = r < rois.count(image) ? roi_level(rois.boxes[i], rule) : -1;
}

}  // namespace

void roi_levels(Stream& s, Rois rois, View<int> levels, RoiLevelRule rule) {
  launch<roi_levels_kernel>(s, one_thread_each(levels.size()), rois, levels, rule);
}

}  // namespace osprey::cuda
