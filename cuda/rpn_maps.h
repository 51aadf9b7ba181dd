// What a region proposal network says, level by level of a pyramid, without a copy: the maps as they come
// from its convolutions.
#pragma once

#include "core/box_coder.h"
#include "core/view.h"
#include "cuda/levels.h"

namespace osprey {

// The anchors of an image are numbered level after level, row by row and cell by cell, those of a cell side
// by side.
struct RpnMaps {
  View<float> objectness[kMostLevels];  // [N,H,W,A]: logits
  View<float> deltas[kMostLevels];      // [N,H,W,4A]
  int count = 0;                        // of levels

  HOST_DEVICE int rows(int level) const {  // of one image
    const Shape shape = objectness[level].shape;
    return shape.h * shape.w * shape.c;
  }
  HOST_DEVICE int first_row(int level) const {
    int first = 0;
    for (int l = 0; l < level; ++l) first += rows(l);
    return first;
  }
  HOST_DEVICE int level_of(int row) const {
    int level = 0;
    while (level + 1 < count && row >= rows(level)) row -= rows(level++);
    return level;
  }
  HOST_DEVICE float& logit(int image, int level, int row_in_level) const {
    return objectness[level][image * rows(level) + row_in_level];
  }
  HOST_DEVICE float& delta(int image, int level, int row_in_level, int which) const {
    return deltas[level][(image * rows(level) + row_in_level) * 4 + which];
  }
  HOST_DEVICE Deltas deltas_of(int image, int level, int row_in_level) const {
    const float* d = &delta(image, level, row_in_level, 0);
    return {d[0], d[1], d[2], d[3]};
  }
};

}  // namespace osprey
