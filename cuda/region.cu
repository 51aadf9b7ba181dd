// The loss runs as four kernels: every row as background; truths choose their rows; rows learn from truths;
// sums.
#include "cuda/region.h"

#include "cuda/block.cuh"
#include "cuda/detections.cuh"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

using namespace region_rules;

// One warp per row. x and y may be at one address: a lane reads only where it writes, and the barriers of the
// reductions lie between the reading and the writing.
__global__ void region_forward_kernel(View<const float> x, View<float> y, int row_length,
                                      RegionClasses classes) {
  const int row = global_thread() / 32, lane = int(threadIdx.x) % 32;
  if (row >= y.size() / row_length) return;  // the whole warp
  const float* from = &x[row * row_length];
  float* to = &y[row * row_length];
  const int first = classes == RegionClasses::softmax_with_background ? kObjectness : kClasses;
  if (lane < first) to[lane] = lane == kObjectness ? logistic(from[lane]) : from[lane];
  if (classes == RegionClasses::as_they_are) {
    for (int c = first + lane; c < row_length; c += 32) to[c] = from[c];
    return;
  }
  float largest = from[first + lane % (row_length - first)];
  for (int c = first + lane; c < row_length; c += 32) largest = fmaxf(largest, from[c]);
  largest = warp_max(largest);
  float sum = 0;
  for (int c = first + lane; c < row_length; c += 32) sum += to[c] = exponential(from[c] - largest);
  sum = warp_sum(sum);
  for (int c = first + lane; c < row_length; c += 32) to[c] /= sum;
}

__device__ void write_box_slopes(float* d, CentreBox slopes) {
  d[kX] = slopes.x;
  d[kY] = slopes.y;
  d[kW] = slopes.w;
  d[kH] = slopes.h;
}

// What `lanes` threads teach a row's classes: all of them, or those of a tree beside the true class and
// beside each of its ancestors.
__device__ void teach_class(const RegionGrid& grid, const RegionLoss& loss, float scale, int class_id,
                            const float* p, float* d, int lane, int lanes) {
  p += kClasses;
  d += kClasses;
  if (!grid.tree) {
    const float factor = class_factor(loss, scale, p[class_id]);
    for (int c = lane; c < grid.classes; c += lanes) d[c] = factor * (float(c == class_id) - p[c]);
    return;
  }
  for (int own = class_id; own >= 0; own = grid.tree.parents[own]) {
    const int group = grid.tree.group_of[own], end = grid.tree.groups[group + 1];
    for (int c = grid.tree.groups[group] + lane; c < end; c += lanes) d[c] = scale * (float(c == own) - p[c]);
  }
}

// One thread per row (blocks in x) of an image (blocks in y). The slopes start as zeros.
__global__ void background_kernel(RegionGrid grid, RegionLoss loss, View<const float> y, Truths truths,
                                  const Step* step, View<float> delta) {
  const int row = global_thread(), image = int(blockIdx.y);
  if (row >= grid.rows_of_image()) return;
  const int first = (image * grid.rows_of_image() + row) * grid.row_length();
  const float* p = &y[first];
  float* d = &delta[first];
  const RowPlace at = grid.place(row);
  const Box predicted = corners(grid.box(p, at));
  const int count = truths.counts[image];
  float best = 0;
  int best_class = -1;
  Truth truth;
  for (int t = 0; t < count; ++t) {
    if (!grid.read(truths, image, t, truth)) continue;
    const float overlap = iou(predicted, corners(truth.box));
    if (overlap > best) best = overlap, best_class = truth.class_id;
  }
  d[kObjectness] = background_slope(loss, p[kObjectness], best);
  if (forgiven(loss, best) && loss.classfix > 0)
    teach_class(grid, loss, overlap_class_scale(loss, p[kObjectness], best), best_class, p, d, 0, 1);
  if (warms_up(*step)) write_box_slopes(d, box_slopes(grid, grid.own_box(at), p, at, kWarmUpScale));
}

// One thread per place for a truth: writes down the row that the truth is taught to, or -1.
__global__ void match_kernel(RegionGrid grid, RegionLoss loss, View<const float> y, Truths truths,
                             View<int> rows) {
  const int i = global_thread();
  if (i >= rows.size()) return;
  const int capacity = rows.shape.w, image = i / capacity, t = i % capacity;
  rows[i] = -1;
  Truth truth;
  if (t >= truths.counts[image] || !grid.read(truths, image, t, truth)) return;
  const Box shape = corners({0, 0, truth.box.w, truth.box.h});
  const int first = grid.first_row(truth.box);
  float best = 0;
  rows[i] = first;
  for (int row = first; row < first + grid.anchors.size(); ++row) {
    const float* p = &y[(image * grid.rows_of_image() + row) * grid.row_length()];
    const float overlap = shape_overlap(grid, loss, shape, p, grid.place(row));
    if (overlap > best) best = overlap, rows[i] = row;
  }
}

// One warp per place for a truth. Each truth replaces what a row has learnt from those before it, so only the
// last of a row teaches, and no two warps write to one row. The lanes share the classes. What earlier truths
// have taught branches of a tree stays where the branch of the last one does not go: its warp teaches them
// all.
__global__ void teach_kernel(RegionGrid grid, RegionLoss loss, View<const float> y, Truths truths,
                             View<const int> rows, View<float> overlaps, View<float> delta) {
  const int slot = global_thread() / 32, lane = int(threadIdx.x) % 32;
  if (slot >= rows.size() || rows[slot] < 0) return;  // the whole warp
  const int row = rows[slot], capacity = rows.shape.w, image = slot / capacity, t = slot % capacity;
  const int first = (image * grid.rows_of_image() + row) * grid.row_length();
  const float* p = &y[first];
  float* d = &delta[first];
  const RowPlace at = grid.place(row);
  Truth truth;
  grid.read(truths, image, t, truth);
  const float overlap = iou(corners(grid.box(p, at)), corners(truth.box));
  if (lane == 0) overlaps[2 * slot] = overlap;
  const int count = truths.counts[image];
  bool replaced = false;
  for (int other = t + 1 + lane; other < count; other += 32)
    replaced = replaced || rows[image * capacity + other] == row;
  if (__any_sync(kAllLanes, replaced)) return;
  if (lane == 0) {
    write_box_slopes(d, box_slopes(grid, truth.box, p, at, loss.coord_scale));
    d[kObjectness] = matched_slope(loss, p[kObjectness], overlap);
  }
  for (int other = grid.tree ? 0 : t; other <= t; ++other) {
    if (rows[image * capacity + other] != row) continue;
    grid.read(truths, image, other, truth);
    teach_class(grid, loss, loss.class_scale, truth.class_id, p, d, lane, 32);
    __syncwarp();  // the next branch may replace what another lane has written
  }
}

// One block per image: its threads stride through the rows.
__global__ void candidates_kernel(RegionGrid grid, RegionLoss loss, View<const float> y, float threshold,
                                  float tree_threshold, DetectionLists lists) {
  const int rows = grid.rows_of_image(), first = int(blockIdx.x) * rows;
  const auto values = [&](int row) { return &y[(first + row) * grid.row_length()]; };
  const auto listed = [&](int row, CandidateBox& candidate) {
    candidate.objectness = listed_objectness(loss, values(row)[kObjectness]);
    candidate.classes = values(row) + kClasses;
    if (grid.tree) {
      if (!(candidate.objectness > threshold)) return false;
      const int found = grid.tree.most_special(candidate.classes, tree_threshold);
      if (found < 0) return false;
      candidate.only_class = found;
      candidate.objectness =
          grid.tree.of_ancestors(candidate.classes, found);  // the score is of the class alone
      return candidate.score(found, threshold) > 0;
    }
    for (int c = 0; c < grid.classes; ++c)
      if (candidate.score(c, threshold) > 0) return true;
    return false;
  };
  list_candidates(lists, rows, listed, [&](int row) { return grid.box(values(row), grid.place(row)); });
}

// One thread per row and class of the map.
__global__ void map_kernel(RegionGrid grid, View<const float> y, View<float> mapped) {
  const int i = global_thread();
  if (i >= mapped.size()) return;
  const float* row = &y[i / mapped.shape.c * grid.row_length()];
  mapped[i] = grid.tree.probability(row + kClasses, grid.class_map[i % mapped.shape.c]);
}

// One block per image: its threads stride through the rows.
__global__ void mapped_candidates_kernel(RegionGrid grid, View<const float> y, float threshold,
                                         View<const float> mapped, DetectionLists lists) {
  const int rows = grid.rows_of_image(), first = int(blockIdx.x) * rows, classes = mapped.shape.c;
  const auto values = [&](int row) { return &y[(first + row) * grid.row_length()]; };
  const auto listed = [&](int row, CandidateBox& candidate) {
    candidate.objectness = values(row)[kObjectness];
    candidate.classes = &mapped[(first + row) * classes];
    for (int c = 0; c < classes; ++c)
      if (candidate.score(c, threshold) > 0) return true;
    return false;
  };
  list_candidates(lists, rows, listed, [&](int row) { return grid.box(values(row), grid.place(row)); });
}

Grid one_warp_each(int n) { return one_thread_each(32 * n); }

}  // namespace

void region_forward(Stream& s, View<const float> x, View<float> y, int row_length, RegionClasses classes) {
  launch<region_forward_kernel>(s, one_warp_each(y.size() / row_length), x, y, row_length, classes);
}

void region_loss(Stream& s, const RegionGrid& grid, const RegionLoss& loss, View<const float> y,
                 const Truths& truths, const Step* step, View<float> delta, const LossWork& work,
                 LossReport* report) {
  const View<const int> rows = work.rows;
  fill_zero(s, delta.data, size_t(delta.size()) * sizeof(float));
  Grid blocks = one_thread_each(grid.rows * grid.columns * (y.shape.c / grid.row_length()));
  blocks.blocks.y = unsigned(y.shape.n);
  launch<background_kernel>(s, blocks, grid, loss, y, truths, step, delta);
  launch<match_kernel>(s, one_thread_each(rows.size()), grid, loss, y, truths, work.rows);
  launch<teach_kernel>(s, one_warp_each(rows.size()), grid, loss, y, truths, rows, work.overlaps, delta);
  add_to_report(s, delta, grid.parts(), 1, work, {}, report);
}

void region_candidates(Stream& s, const RegionGrid& grid, const RegionLoss& loss, View<const float> y,
                       float threshold, float tree_threshold, const DetectionLists& lists) {
  launch<candidates_kernel>(s, {dim3(unsigned(y.shape.n)), dim3(256)}, grid, loss, y, threshold,
                            tree_threshold, lists);
}

void region_mapped_candidates(Stream& s, const RegionGrid& grid, View<const float> y, float threshold,
                              View<float> mapped, const DetectionLists& lists) {
  launch<map_kernel>(s, one_thread_each(mapped.size()), grid, y, mapped);
  launch<mapped_candidates_kernel>(s, {dim3(unsigned(y.shape.n)), dim3(256)}, grid, y, threshold,
                                   View<const float>(mapped), lists);
}

}  // namespace osprey::cuda
