// RoIs on their way from layer to layer: the output of [rpn], [proposals], [roi_sampler] and of an [rcnn]
// that refines is a table [N,1,R,kRoiEntries], R places for each image. Those that are filled come first.
#pragma once

#include "core/box.h"
#include "core/view.h"

namespace osprey {

// A box in pixels of the network input, its score, and what it is matched with: the index of one of the
// truths that TruthLists holds for its image, kBackground (also where nothing has been matched), or kNoRoi
// for a place that is not filled.
enum RoiEntry { kRoiX1, kRoiY1, kRoiX2, kRoiY2, kRoiScore, kRoiMatch, kRoiEntries };

constexpr int kNoRoi = -3;  // beside kBackground and kIgnored of cuda/matching.h

struct RoiRow {
  Box box;
  float score = 0;
  int match = kNoRoi;
};

HOST_DEVICE inline RoiRow roi_of_row(View<const float> table, int row) {
  const float* v = &table[row * kRoiEntries];
  return {{v[kRoiX1], v[kRoiY1], v[kRoiX2], v[kRoiY2]}, v[kRoiScore], int(v[kRoiMatch])};
}

HOST_DEVICE inline void set_roi(View<float> table, int row, const RoiRow& roi) {
  float* v = &table[row * kRoiEntries];
  v[kRoiX1] = roi.box.x1;
  v[kRoiY1] = roi.box.y1;
  v[kRoiX2] = roi.box.x2;
  v[kRoiY2] = roi.box.y2;
  v[kRoiScore] = roi.score;
  v[kRoiMatch] = float(roi.match);
}

}  // namespace osprey
