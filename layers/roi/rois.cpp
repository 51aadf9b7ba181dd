#include "cuda/rois.h"

#include <algorithm>

namespace osprey::cpu {

void table_of_proposals(Stream&, Proposals proposals, float width, float height, View<float> table) {
  const int places = table.shape.w;
  for (int image = 0; image < table.shape.n; ++image) {
    int filled = 0;
    for (int i = 0; i < std::min(proposals.counts[image], proposals.boxes.shape.w); ++i) {
      const RoiRow roi = roi_of_proposal(&proposals.boxes(image, 0, i, 0), width, height);
      if (has_area(roi.box) && filled < places) set_roi(table, image * places + filled++, roi);
    }
    for (; filled < places; ++filled) set_roi(table, image * places + filled, RoiRow());
  }
}

void unpack_rois(Stream&, View<const float> table, View<Box> boxes, View<int> counts) {
  const int places = boxes.shape.c;
  for (int image = 0; image < boxes.shape.n; ++image) {
    counts[image] = 0;
    for (int r = 0; r < places; ++r) {
      const RoiRow roi = roi_of_row(table, image * places + r);
      boxes(image, 0, 0, r) = roi.box;
      counts[image] += roi.match != kNoRoi;
    }
  }
}

}  // namespace osprey::cpu
