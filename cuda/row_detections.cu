#include "cuda/row_detections.h"

#include "cuda/detections.cuh"
#include "cuda/top_k.h"

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

// What a row [x y w h objectness classes...] says of a class: -infinity unless it is above the threshold.
__device__ float score_of(const float* row, int class_id, float threshold) {
  const float score = row[kObjectness] * row[kClasses + class_id];
  return score > threshold ? score : -INFINITY;
}

// One thread per row of each image.
__global__ void best_of_row_kernel(View<const float> rows, float threshold, View<float> best) {
  const int at = global_thread();
  if (at >= best.size()) return;
  float highest = -INFINITY;
  for (int c = 0; c < rows.shape.c - kClasses; ++c)
    highest = fmaxf(highest, score_of(&rows[at * rows.shape.c], c, threshold));
  best[at] = highest;
}

// One thread per image, class and row.
__global__ void scores_by_class_kernel(View<const float> rows, float threshold, View<float> scores) {
  const int at = global_thread();
  if (at >= scores.size()) return;
  const int count = rows.shape.w, classes = rows.shape.c - kClasses;
  const int image = at / count / classes, class_id = at / count % classes;
  scores[at] = score_of(&rows[(image * count + at % count) * rows.shape.c], class_id, threshold);
}

// One thread per chosen row, whose place is the number of chosen rows before it.
__global__ void ascending_kernel(View<const int> chosen, View<int> ascending) {
  const int at = global_thread(), most = chosen.shape.c;
  if (at >= chosen.size()) return;
  const int row = chosen[at], first = at / most * most;
  int place = 0;
  for (int i = first; i < first + most; ++i) place += chosen[i] >= 0 && chosen[i] < row;
  if (row >= 0)
    ascending[first + place] = row;
  else
    ascending[at] = -1;  // these are behind the others already
}

// One thread per image, level, chosen row and class.
__global__ void scores_of_rows_kernel(View<const float> rows, AnchorLevels levels, float threshold,
                                      View<const int> chosen, View<float> scores) {
  const int at = global_thread();
  if (at >= scores.size()) return;
  const Pixel pair = scores.shape.pixel(at);
  const int row = chosen(pair.n, 0, pair.h, pair.w);
  scores[at] =
      row < 0 ? -INFINITY : score_of(&rows(pair.n, 0, levels.first[pair.h] + row, 0), pair.c, threshold);
}

// One block per image: its threads stride through the pairs of one group after the other.
__global__ void append_pairs_kernel(View<const float> rows, BestOfRows best, BestOfRowsWork work,
                                    DetectionLists lists) {
  const int image = int(blockIdx.x), classes = rows.shape.c - kClasses, groups = best.groups(classes);
  const int most = work.pairs.shape.c;
  int at = lists.counts[image];
  for (int g = 0; g < groups; ++g) {
    const int count = work.pair_counts[image * groups + g];
    for (int i = int(threadIdx.x); i < count && at + i < lists.capacity(); i += int(blockDim.x)) {
      const int pair = work.pairs[(image * groups + g) * most + i];
      const int row =
          best.by_class ? pair : best.levels.first[g] + work.ascending(image, 0, g, pair / classes);
      const float* v = &rows(image, 0, row, 0);
      CandidateBox candidate;
      candidate.box = corners(in_image(CentreBox{v[kX], v[kY], v[kW], v[kH]}, lists.places[image].placement));
      candidate.objectness = v[kObjectness];
      candidate.classes = v + kClasses;
      candidate.only_class = best.by_class ? g : pair % classes;
      lists.candidates(image, 0, 0, at + i) = candidate;
    }
    at += count;
  }
  __syncthreads();  // all have read the count
  if (threadIdx.x == 0) lists.counts[image] = at;
}

}  // namespace

void best_row_candidates(Stream& s, View<const float> rows, const BestOfRows& best, float threshold,
                         const BestOfRowsWork& work, const DetectionLists& lists) {
  if (best.by_class) {
    launch<scores_by_class_kernel>(s, one_thread_each(work.scores.size()), rows, threshold, work.scores);
    ScoreSegments classes;
    classes.add(work.scores);
    // To top_k every class of an image is an image.
    top_k(s, classes, {work.pairs.data, {work.scores.shape.n, 1, 1, work.pairs.shape.c}},
          {work.pair_counts.data, {work.scores.shape.n, 1, 1, 1}});
  } else {
    launch<best_of_row_kernel>(s, one_thread_each(work.scores.size()), rows, threshold, work.scores);
    ScoreSegments of_rows, of_pairs;
    const int pairs = work.row_scores.shape.w * work.row_scores.shape.c;
    for (int l = 0; l < best.levels.count; ++l) {
      of_rows.add(work.scores, best.levels.first[l], best.levels.first[l + 1] - best.levels.first[l]);
      of_pairs.add(work.row_scores, l * pairs, pairs);
    }
    // The K best pairs are of rows whose best pairs are among the K best of the rows.
    top_k(s, of_rows, work.rows, work.row_counts);
    launch<ascending_kernel>(s, one_thread_each(work.rows.size()), work.rows, work.ascending);
    launch<scores_of_rows_kernel>(s, one_thread_each(work.row_scores.size()), rows, best.levels, threshold,
                                  work.ascending, work.row_scores);
    top_k(s, of_pairs, work.pairs, work.pair_counts);
  }
  launch<append_pairs_kernel>(s, {dim3(unsigned(rows.shape.n)), dim3(256)}, rows, best, work, lists);
}

void row_candidates(Stream& s, View<const float> rows, float threshold, const DetectionLists& lists) {
  launch<row_candidates_kernel>(s, {dim3(unsigned(rows.shape.n)), dim3(256)}, rows, threshold, lists);
}

}  // namespace osprey::cuda
