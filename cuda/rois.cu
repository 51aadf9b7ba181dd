#include "cuda/rois.h"

#include "cuda/block.cuh"
#include "cuda/detections.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block per image: a thread reads a proposal, and all append in order; then they empty the other places.
__global__ void table_of_proposals_kernel(Proposals proposals, float width, float height, View<float> table) {
  const int image = int(blockIdx.x), places = table.shape.w;
  const int given = min(proposals.counts[image], proposals.boxes.shape.w);
  int filled = 0;
  for (int first = 0; first < given; first += int(blockDim.x)) {
    const int i = first + int(threadIdx.x);
    RoiRow roi;
    if (i < given) roi = roi_of_proposal(&proposals.boxes(image, 0, i, 0), width, height);
    const bool good = has_area(roi.box);
    const Append at = block_append(good);
    if (good && filled + at.place < places) set_roi(table, image * places + filled + at.place, roi);
    filled += at.total;
  }
  for (int r = filled + int(threadIdx.x); r < places; r += int(blockDim.x))
    set_roi(table, image * places + r, RoiRow());
}

// One block per image, whose threads share the places. Those that are not filled get an empty box.
__global__ void unpack_rois_kernel(View<const float> table, View<Box> boxes, View<int> counts) {
  const int image = int(blockIdx.x), places = boxes.shape.c;
  int filled = 0;
  for (int r = int(threadIdx.x); r < places; r += int(blockDim.x)) {
    const RoiRow roi = roi_of_row(table, image * places + r);
    boxes(image, 0, 0, r) = roi.box;
    filled += roi.match != kNoRoi;
  }
  filled = block_sum(filled);
  if (threadIdx.x == 0) counts[image] = filled;
}

Grid one_block_each(int images) { return {dim3(unsigned(images)), dim3(256)}; }

}  // namespace

void table_of_proposals(Stream& s, Proposals proposals, float width, float height, View<float> table) {
  launch<table_of_proposals_kernel>(s, one_block_each(table.shape.n), proposals, width, height, table);
}

void unpack_rois(Stream& s, View<const float> table, View<Box> boxes, View<int> counts) {
  launch<unpack_rois_kernel>(s, one_block_each(table.shape.n), table, boxes, counts);
}

}  // namespace osprey::cuda
