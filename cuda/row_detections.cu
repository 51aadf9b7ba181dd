#include "cuda/row_detections.h"

#include "cuda/detections.cuh"

namespace osprey::cuda {
namespace {

// One block per image: its threads stride through the rows.
__global__ void row_candidates_kernel(View<const float> rows, float threshold, DetectionLists lists) {
  const int count = rows.shape.w, length = rows.shape.c, first = int(blockIdx.x) * count;
  const auto values = [&](int row) { return &rows[(first + row) * length]; };
  const auto listed = [&](int row, CandidateBox& candidate) {
    candidate.objectness = values(row)[kObjectness];
    candidate.classes = values(row) + kClasses;
    if (!(candidate.objectness > threshold)) return false;  // of which a class has a part, at most
    for (int c = 0; c < length - kClasses; ++c)
      if (candidate.score(c, threshold) > 0) return true;
    return false;
  };
  list_candidates(lists, count, listed, [&](int row) {
    const float* v = values(row);
    return CentreBox{v[kX], v[kY], v[kW], v[kH]};
  });
}

}  // namespace

void row_candidates(Stream& s, View<const float> rows, float threshold, const DetectionLists& lists) {
  launch<row_candidates_kernel>(s, {dim3(unsigned(rows.shape.n)), dim3(256)}, rows, threshold, lists);
}

}  // namespace osprey::cuda
