// How the backward of a RoI operation finds, for each cell of the map, what RoIs send back to it.
//
// The cells gather. Scattering from the bins would need atomics, since RoIs overlap, and the order of these
// additions, hence the last bits of the sums, would change from run to run. A gather looks at every RoI for
// every cell, which would be slow if each thread did so for itself: a block therefore owns cells of one row,
// and its threads first look for RoIs that touch any of them, one RoI each.
#pragma once

#include "cuda/detections.cuh"
#include "cuda/roi_levels.h"

namespace osprey::cuda {

constexpr int kGatherThreads = 128;

// A block's part of a row of cells [N,H,W,C], a thread for each pack of N channels of a cell.
struct RowPart {
  int image, row;
  int first, last;  // columns of the block's cells
  int column;       // of this thread's cell; that of the last cell for threads beyond the row
  int channel;
  bool inside;  // whether this thread has a cell
};

inline Grid one_block_per_row_part(Shape map, int pack) {
  const int parts = (map.w * (map.c / pack) + kGatherThreads - 1) / kGatherThreads;
  return {dim3(unsigned(map.n * map.h * parts)), dim3(kGatherThreads)};
}

__device__ inline RowPart row_part(Shape map, int pack) {
  const int packs = map.c / pack, values = map.w * packs;
  const int parts = (values + kGatherThreads - 1) / kGatherThreads;
  const int row = int(blockIdx.x) / parts, first = int(blockIdx.x) % parts * kGatherThreads;
  const int last = min(first + kGatherThreads, values) - 1, own = first + int(threadIdx.x);
  const int at = min(own, last);
  return {row / map.h, row % map.h, first / packs, last / packs, at / packs, at % packs * pack, own <= last};
}

// Calls collect(r), in rising order, for the RoIs of the image on the level for which touches(box) holds. All
// threads of the block must call this, with the same `touches`.
template <class Touches, class Collect>
__device__ void for_each_touching_roi(const Rois& rois, int image, int level, Touches touches,
                                      Collect collect) {
  __shared__ int touching[kGatherThreads];
  const int count = rois.count(image);
  for (int first = 0; first < count; first += kGatherThreads) {
    const int r = first + int(threadIdx.x);
    const bool found = rois.on_level(image, r, level) && touches(rois.boxes(image, 0, 0, r));
    // The barriers inside also keep this round from writing to the list before the last one has read it.
    const Append at = block_append(found);
    if (found) touching[at.place] = r;
    __syncthreads();  // the list is complete
    for (int i = 0; i < at.total; ++i) collect(touching[i]);
  }
}

}  // namespace osprey::cuda
