// The RoIs of a mini-batch, and from which map of a feature pyramid each is pooled. The CPU side is in
// layers/roi/roi_levels.cpp, the kernel in cuda/roi_levels.cu.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

// Each image has R places for RoIs, of which the first counts[n] are filled. Whatever is pooled from them has
// a row for each place, [N*R,...]: row n*R + r.
struct Rois {
  View<const Box> boxes;   // [N,1,1,R], pixels of the network input
  View<const int> counts;  // [N,1,1,1]
  View<const int> levels;  // [N,1,1,R], as from roi_levels(); empty: all are pooled from level 0

  HOST_DEVICE int capacity() const { return boxes.shape.c; }
  HOST_DEVICE int count(int image) const {
    const int filled = counts[image];
    return filled < capacity() ? filled : capacity();
  }
  HOST_DEVICE bool on_level(int image, int r, int level) const {
    return r < count(image) && (levels ? levels(image, 0, 0, r) : 0) == level;
  }
};

// A map that RoIs are pooled from. A pyramid is pooled by one call for each of its maps, the finest first.
struct RoiMap {
  int level = 0;
  float scale = 1;  // cells of the map per pixel of the network input
};

// The scale of a map of `cells` along an axis on which the network input has `pixels`: the nearest power of
// two, since sizes that are no multiple of the stride were rounded (torchvision).
inline float map_scale(int cells, int pixels) {
  return std::exp2(std::round(std::log2(float(cells) / float(pixels))));
}

// "Feature Pyramid Networks for Object Detection", Lin et al., CVPR 2017, eq. 1: a RoI of the canonical size
// is pooled from the canonical level, one of half that size from the level below.
struct RoiLevelRule {
  int lowest = 2, highest = 5;  // the pyramid's maps, finest first: 1/4 to 1/32 of the network input
  int canonical_level = 4;
  float canonical_size = 224;  // pixels
};

// 0 for the lowest level, as torchvision has it. Boxes without area go there.
HOST_DEVICE inline int roi_level(Box box, RoiLevelRule rule) {
  constexpr float kJustBelow = 1e-6f;  // rounding shall not send a box of exactly 112 pixels to level 2
  const float side = sqrtf(area(box));
  const float level = floorf(float(rule.canonical_level) + log2f(side / rule.canonical_size) + kJustBelow);
  return int(fminf(fmaxf(level, float(rule.lowest)), float(rule.highest))) - rule.lowest;
}

namespace cpu {
// Writes `levels` [N,1,1,R] for those that are filled; places that are not get -1.
void roi_levels(Stream&, Rois, View<int> levels, RoiLevelRule);
}  // namespace cpu

namespace cuda {
void roi_levels(Stream&, Rois, View<int> levels, RoiLevelRule);
}  // namespace cuda

}  // namespace osprey
