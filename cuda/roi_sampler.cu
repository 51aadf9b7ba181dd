#include "cuda/roi_sampler.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block per image, which counts the RoIs first; then each thread fills places.
__global__ void gather_candidates_kernel(View<const float> table, BoxLists truths, RoiCandidates to) {
  const int image = int(blockIdx.x), rois = table.shape.w, places = to.boxes.shape.c;
  int filled = 0;
  for (int r = int(threadIdx.x); r < rois; r += int(blockDim.x))
    filled += roi_of_row(table, image * rois + r).match != kNoRoi;
  filled = block_sum(filled);
  const int all = min(filled + truths.count(image), places);
  for (int i = int(threadIdx.x); i < places; i += int(blockDim.x)) {
    RoiRow candidate;
    if (i < filled)
      candidate = roi_of_row(table, image * rois + i);
    else if (i < all)
      candidate = {truths.box(image, i - filled), 1, kBackground};
    to.boxes(image, 0, 0, i) = i < all ? candidate.box : Box{0, 0, 0, 0};
    to.scores(image, 0, 0, i) = candidate.score;
  }
  if (threadIdx.x == 0) to.counts[image] = all;
}

// One thread per candidate.
__global__ void ignore_candidates_kernel(RoiCandidates candidates, View<const float> overlap, float least,
                                         View<int> match) {
  const int i = global_thread(), places = match.shape.c;
  if (i >= match.size()) return;
  const bool there = i % places < candidates.counts[i / places];
  if (!there || (match[i] == kBackground && overlap[i] < least)) match[i] = kIgnored;
}

// One thread per place of the table.
__global__ void write_samples_kernel(RoiCandidates candidates, View<const int> match, View<const int> rows,
                                     View<float> table) {
  const int i = global_thread(), places = table.shape.w;
  if (i >= table.shape.rows()) return;
  const int image = i / places, k = i % places;
  const int from = rows ? rows[i] : k < candidates.counts[image] ? k : -1;
  RoiRow roi;
  if (from >= 0)
    roi = {candidates.boxes(image, 0, 0, from), candidates.scores(image, 0, 0, from),
           match(image, 0, 0, from)};
  set_roi(table, i, roi);
}

}  // namespace

void gather_candidates(Stream& s, View<const float> table, BoxLists truths, RoiCandidates to) {
  launch<gather_candidates_kernel>(s, {dim3(unsigned(table.shape.n)), dim3(256)}, table, truths, to);
}

void ignore_candidates(Stream& s, RoiCandidates candidates, View<const float> overlap, float least,
                       View<int> match) {
  launch<ignore_candidates_kernel>(s, one_thread_each(match.size()), candidates, overlap, least, match);
}

void write_samples(Stream& s, RoiCandidates candidates, View<const int> match, View<const int> rows,
                   View<float> table) {
  launch<write_samples_kernel>(s, one_thread_each(table.shape.rows()), candidates, match, rows, table);
}

}  // namespace osprey::cuda
