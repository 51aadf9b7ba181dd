// RoIs between the forms in which they come, travel and are used: boxes given with the images, the table that
// layers hand on (core/roi_table.h), and the lists from which RoIs are pooled and matched. The CPU side is in
// layers/roi/rois.cpp, the kernels in cuda/rois.cu.
#pragma once

#include "core/roi_table.h"
#include "core/step.h"
#include "core/stream.h"

namespace osprey {

// The part of a proposal that lies in the network input, in pixels.
HOST_DEVICE inline RoiRow roi_of_proposal(const float* row, float width, float height) {
  const Box box = scaled(corners({row[0], row[1], row[2], row[3]}), width, height);
  const Box inside = {fmaxf(box.x1, 0), fmaxf(box.y1, 0), fminf(box.x2, width), fminf(box.y2, height)};
  return {inside, row[4], -1};
}
HOST_DEVICE inline bool has_area(Box box) { return box.x2 > box.x1 && box.y2 > box.y1; }

namespace cpu {
// Writes the table [N,1,R,kRoiEntries]: the first R proposals of which some part lies in the network input of
// `width` x `height` pixels, as background.
void table_of_proposals(Stream&, Proposals proposals, float width, float height, View<float> table);
// Writes boxes [N,1,1,R] and counts [N,1,1,1], of the places that are filled.
void unpack_rois(Stream&, View<const float> table, View<Box> boxes, View<int> counts);
}  // namespace cpu

namespace cuda {
void table_of_proposals(Stream&, Proposals proposals, float width, float height, View<float> table);
void unpack_rois(Stream&, View<const float> table, View<Box> boxes, View<int> counts);
}  // namespace cuda

}  // namespace osprey
