// The loss runs as four kernels: every row as background; truths choose their rows; rows learn from truths,
// in the order of the truths; sums.
#include "cuda/yolo.h"

#include "core/activations.h"
#include "cuda/block.cuh"
#include "cuda/detections.cuh"
#include "cuda/feedback.cuh"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

using namespace yolo_rules;

// One thread per value. x and y may be at one address: a thread reads only where it writes.
__global__ void yolo_forward_kernel(YoloGrid grid, View<const float> x, View<float> y) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const int entry = i % grid.row_length();
  const bool raw = grid.new_coords || entry == grid.entry(kW) || entry == grid.entry(kH);
  float v = raw ? x[i] : logistic(x[i]);
  if (entry == grid.entry(kX) || entry == grid.entry(kY))
    v = v * grid.scale_x_y - 0.5f * (grid.scale_x_y - 1);
  y[i] = v;
}

// A box that overlaps a truth by more than truth_thresh learns it too. Darknet does not count it as matched.
__device__ void teach_overlap(const YoloGrid& grid, const YoloLoss& loss, const Truth& truth, float best,
                              RowPlace at, const float* p, float* d) {
  const float target = target_of_overlap(loss, best);
  const int objectness = grid.entry(kObjectness), classes = grid.entry(kClasses);
  d[objectness] = loss.obj_normalizer * (target - p[objectness]);
  const int true_class = classes + truth.class_id;
  const float factor = class_factor(loss, p[true_class]);
  for (int c = 0; c < grid.classes; ++c)
    d[classes + c] = class_slope(loss, p[classes + c], c == truth.class_id, truth.class_id, factor);
  if (loss.objectness_smooth) d[true_class] = loss.multiplier(truth.class_id) * (target - p[true_class]);
  const BoxSlopes box = box_slopes(grid, loss, truth, p, at);
  for (int e = 0; e < grid.numbers_of_box(); ++e) d[e] += box.of[e];
}

// One thread per row (blocks in x) of an image (blocks in y). The slopes start as zeros.
__global__ void background_kernel(YoloGrid grid, YoloLoss loss, View<const float> y, Truths truths,
                                  View<float> delta) {
  const int row = global_thread(), image = int(blockIdx.y);
  if (row >= grid.rows_of_image()) return;
  const int first = (image * grid.rows_of_image() + row) * grid.row_length();
  const float* p = &y[first];
  float* d = &delta[first];
  const RowPlace at = grid.place(row);
  const Box predicted = corners(grid.box(p, at));
  const int count = truths.counts[image];
  float best = 0;
  Truth truth, best_truth;
  for (int t = 0; t < count; ++t) {
    if (!grid.read(truths, image, t, truth)) continue;
    const float overlap = likeness(grid, loss, predicted, corners(truth.box));
    if (overlap > best) best = overlap, best_truth = truth;
  }
  bool forgiven = false;
  if (best > loss.ignore_thresh)
    for (int c = 0; c < grid.classes && !forgiven; ++c) forgiven = is_seen(p[grid.entry(kClasses) + c]);
  const int objectness = grid.entry(kObjectness);
  d[objectness] = background_slope(loss, p[objectness], best, forgiven);
  if (best > loss.truth_thresh) teach_overlap(grid, loss, best_truth, best, at, p, d);
}

// One thread per place for a truth: writes down the rows that the truth is taught to, one for each anchor of
// this layer that fits, or -1.
__global__ void match_kernel(YoloGrid grid, YoloLoss loss, Truths truths, View<int> rows) {
  const int i = global_thread();
  if (i >= rows.shape.rows()) return;
  const int capacity = rows.shape.w, image = i / capacity, t = i % capacity, slots = rows.shape.c;
  for (int k = 0; k < slots; ++k) rows[i * slots + k] = -1;
  Truth truth;
  if (t >= truths.counts[image] || !grid.read(truths, image, t, truth)) return;
  const Box shape = corners({0, 0, truth.box.w, truth.box.h});
  const int first = grid.first_row(truth.box), best = best_anchor(grid, loss, shape);
  for (int a = 0; a < grid.anchors.size(); ++a) {
    const int k = grid.find(a);
    if (k < 0) continue;
    if (a == best ||
        (loss.iou_thresh < 1 && overlap(loss.iou_thresh_kind, grid.shape(a), shape) > loss.iou_thresh))
      rows[i * slots + k] = first + k;
  }
}

// The lanes of a warp teach a truth to a row: some a number of the box each, one the objectness, all the
// classes.
__device__ void teach(const YoloGrid& grid, const YoloLoss& loss, const Truth& truth, RowPlace at,
                      const float* p, float* d, int lane) {
  const BoxSlopes box = box_slopes(grid, loss, truth, p, at);
  const int class_id = truth.class_id, objectness = grid.entry(kObjectness), classes = grid.entry(kClasses);
  const bool taught_before = d[classes + telling_class(grid, class_id)] != 0;
  __syncwarp();  // all lanes have read before one writes
  // To a fixed end: unrolled, since registers have no index.
  for (int e = 0; e < 2 * kObjectness; ++e)
    if (lane == e && e < objectness) d[e] += box.of[e];
  if (lane == objectness && (!loss.objectness_smooth || d[objectness] == 0))
    d[objectness] = matched_objectness_slope(loss, truth, p[objectness]);
  const float factor = class_factor(loss, p[classes + class_id]);
  for (int c = lane; c < grid.classes; c += 32) {
    if (!taught_before)
      d[classes + c] = class_slope(loss, p[classes + c], c == class_id, class_id, factor);
    else if (c == class_id)
      d[classes + c] = further_class_slope(loss, p[classes + c], class_id);
  }
  __syncwarp();  // the next truth finds what this one has taught
}

// One warp per match of a truth and a row. Truths may share a row, and what it learns depends on their order:
// the warp of the first teaches all of them, one after the other, and the others' only measure. So rows learn
// side by side, and no two warps write to one.
__global__ void teach_kernel(YoloGrid grid, YoloLoss loss, View<const float> y, Truths truths,
                             View<const int> rows, View<float> overlaps, View<float> delta) {
  const int slot = global_thread() / 32, lane = int(threadIdx.x) % 32;
  if (slot >= rows.size() || rows[slot] < 0) return;  // the whole warp
  const int row = rows[slot];
  const auto [image, zero, t, k] = rows.shape.pixel(slot);
  const int first = (image * grid.rows_of_image() + row) * grid.row_length();
  const float* p = &y[first];
  const RowPlace at = grid.place(row);
  Truth truth;
  if (lane == 0) {
    grid.read(truths, image, t, truth);
    const Fit match = fit(grid, loss, truth, p, at);
    overlaps[2 * slot] = match.overlap;
    overlaps[2 * slot + 1] = match.misfit;
  }
  bool taken = false;
  for (int other = lane; other < t; other += 32) taken = taken || rows(image, zero, other, k) == row;
  if (__any_sync(kAllLanes, taken)) return;
  const int count = truths.counts[image];
  for (int other = t; other < count; ++other) {
    if (rows(image, zero, other, k) != row) continue;
    grid.read(truths, image, other, truth);
    teach(grid, loss, truth, at, p, &delta[first], lane);
  }
}

// One block for all matches, so that one thread may write the share, and sums have one order.
__global__ void feedback_kernel(YoloGrid grid, YoloLoss loss, View<const float> y, Truths truths,
                                View<const int> rows, View<const float> overlaps) {
  FeedbackSums own;
  for (int slot = int(threadIdx.x); slot < rows.size(); slot += int(blockDim.x)) {
    const int row = rows[slot];
    if (row < 0) continue;
    const auto [image, zero, t, k] = rows.shape.pixel(slot);
    Truth truth;
    grid.read(truths, image, t, truth);
    const float* p = &y[(image * grid.rows_of_image() + row) * grid.row_length()];
    loss.feedback.tell(grid.in_pixels(corners(truth.box)),
                       location_loss(grid, loss, truth, p, grid.place(row), overlaps[2 * slot + 1]), own);
  }
  move_share(loss.feedback, own);
}

// One warp per row: a box that several classes pulled at takes the mean of the pulls.
__global__ void average_boxes_kernel(YoloGrid grid, View<float> delta) {
  const int row = global_thread() / 32, lane = int(threadIdx.x) % 32, row_length = grid.row_length();
  if (row >= delta.size() / row_length) return;  // the whole warp
  float* d = &delta[row * row_length];
  if (d[grid.entry(kObjectness)] == 0) return;
  int pulls = 0;
  for (int c = grid.entry(kClasses) + lane; c < row_length; c += 32) pulls += d[c] > 0;
  pulls = warp_sum(pulls);
  if (pulls > 0 && lane < grid.numbers_of_box()) d[lane] /= float(pulls);
}

// One block per image: its threads stride through the rows.
__global__ void candidates_kernel(YoloGrid grid, View<const float> y, float threshold, DetectionLists lists) {
  const int rows = grid.rows_of_image(), first = int(blockIdx.x) * rows;
  const auto values = [&](int row) { return &y[(first + row) * grid.row_length()]; };
  const auto listed = [&](int row, CandidateBox& candidate) {
    candidate.objectness = grid.certain_objectness(values(row));
    candidate.classes = values(row) + grid.entry(kClasses);
    return values(row)[grid.entry(kObjectness)] > threshold;
  };
  list_candidates(lists, rows, listed, [&](int row) { return grid.box(values(row), grid.place(row)); });
}

Grid one_warp_each(int n) { return one_thread_each(32 * n); }

}  // namespace

void yolo_forward(Stream& s, const YoloGrid& grid, View<const float> x, View<float> y) {
  launch<yolo_forward_kernel>(s, one_thread_each(y.size()), grid, x, y);
}

void yolo_loss(Stream& s, const YoloGrid& grid, const YoloLoss& loss, View<const float> y,
               const Truths& truths, View<float> delta, const LossWork& work, LossReport* report) {
  const View<const int> rows = work.rows;
  fill_zero(s, delta.data, size_t(delta.size()) * sizeof(float));
  Grid blocks = one_thread_each(grid.rows * grid.columns * (y.shape.c / grid.row_length()));
  blocks.blocks.y = unsigned(y.shape.n);
  launch<background_kernel>(s, blocks, grid, loss, y, truths, delta);
  launch<match_kernel>(s, one_thread_each(rows.shape.rows()), grid, loss, truths, work.rows);
  launch<teach_kernel>(s, one_warp_each(rows.size()), grid, loss, y, truths, rows, work.overlaps, delta);
  if (averages_boxes(grid, loss))
    launch<average_boxes_kernel>(s, one_warp_each(delta.size() / grid.row_length()), grid, delta);
  if (loss.feedback.on)
    launch<feedback_kernel>(s, {dim3(1), dim3(256)}, grid, loss, y, truths, rows,
                            View<const float>(work.overlaps));
  add_to_report(s, delta, grid.parts(), loss.delta_normalizer, work, loss.report_rule(), report);
}

void yolo_candidates(Stream& s, const YoloGrid& grid, View<const float> y, float threshold,
                     const DetectionLists& lists) {
  launch<candidates_kernel>(s, {dim3(unsigned(y.shape.n)), dim3(256)}, grid, y, threshold, lists);
}

}  // namespace osprey::cuda
