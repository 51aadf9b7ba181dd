#include "cuda/detection.h"

#include "core/activations.h"
#include "cuda/block.cuh"
#include "cuda/detections.cuh"

namespace osprey::cuda {
namespace {

using namespace detection_rules;

// One thread per number of the output.
__global__ void gather_kernel(View<const float> x, View<float> y) {
  const int i = global_thread();
  if (i >= y.size()) return;
  y[i] = x[DetectionGrid::in_input(x.shape, i / y.shape.c, i % y.shape.c)];
}

// One thread per cell (blocks in x) of an image (blocks in y).
__global__ void softmax_kernel(DetectionGrid grid, View<float> y) {
  const int cell = global_thread();
  if (cell >= grid.cells()) return;
  float* classes = &y[int(blockIdx.y) * grid.numbers() + grid.classes_at(cell)];
  float largest = classes[0], sum = 0;
  for (int c = 1; c < grid.classes; ++c) largest = fmaxf(largest, classes[c]);
  for (int c = 0; c < grid.classes; ++c) sum += classes[c] = exponential(classes[c] - largest);
  for (int c = 0; c < grid.classes; ++c) classes[c] /= sum;
}

// One warp per cell (blocks in x) of an image (blocks in y): its lanes share the classes, the confidences and
// the boxes of the cell, of which each slope is written once.
__global__ void detection_loss_kernel(DetectionGrid grid, DetectionLoss loss, View<const float> y,
                                      Truths truths, const Step* step, View<int> rows, View<float> overlaps,
                                      View<float> delta) {
  const int cell = global_thread() / 32, lane = int(threadIdx.x) % 32, image = int(blockIdx.y);
  if (cell >= grid.cells()) return;  // the whole warp
  const float* p = &y[image * grid.numbers()];
  float* d = &delta[image * grid.numbers()];
  Truth truth;
  const bool has_object = truth_of_cell(grid, truths, image, cell, truth);
  const int taught = has_object ? taught_box(grid, loss, p, image, cell, truth.box, *step) : -1;
  const float overlap = has_object ? iou(corners(grid.box(p, taught)), corners(truth.box)) : 0;
  for (int c = lane; c < grid.classes; c += 32) {
    const int at = grid.classes_at(cell) + c;
    d[at] = has_object ? loss.class_scale * (float(c == truth.class_id) - p[at]) : 0;
  }
  for (int k = lane; k < grid.boxes; k += 32) {
    const int box = cell * grid.boxes + k, at = grid.confidence_at(box), numbers = grid.box_at(box);
    const CentreBox wanted = wanted_box(grid, cell, truth.box);
    d[at] = box == taught ? loss.object_scale * (wanted_confidence(loss, overlap) - p[at])
                          : -loss.noobject_scale * p[at];
    const float values[] = {wanted.x, wanted.y, wanted.w, wanted.h};
    for (int e = 0; e < 4; ++e)
      d[numbers + e] = box == taught ? loss.coord_scale * (values[e] - p[numbers + e]) : 0;
  }
  if (lane != 0) return;
  const int slot = image * grid.cells() + cell;
  rows[slot] = taught;
  overlaps[2 * slot] = overlap;
}

// One thread per number of the output.
__global__ void scatter_kernel(View<const float> delta, View<float> dx, bool overwrite) {
  const int i = global_thread();
  if (i >= delta.size()) return;
  const int at = DetectionGrid::in_input(dx.shape, i / delta.shape.c, i % delta.shape.c);
  dx[at] = overwrite ? -delta[i] : dx[at] - delta[i];
}

// One block per image: its threads stride through the boxes.
__global__ void candidates_kernel(DetectionGrid grid, View<const float> y, float threshold,
                                  DetectionLists lists) {
  const float* numbers = &y[int(blockIdx.x) * grid.numbers()];
  const auto listed = [&](int box, CandidateBox& candidate) {
    candidate.objectness = numbers[grid.confidence_at(box)];
    candidate.classes = numbers + grid.classes_at(box / grid.boxes);
    for (int c = 0; c < grid.classes; ++c)
      if (candidate.score(c, threshold) > 0) return true;
    return false;
  };
  list_candidates(lists, grid.boxes_of_image(), listed, [&](int box) { return grid.box(numbers, box); });
}

Grid of_cells(int threads, int images) {
  Grid grid = one_thread_each(threads);
  grid.blocks.y = unsigned(images);
  return grid;
}

}  // namespace

void detection_forward(Stream& s, const DetectionGrid& grid, bool softmax, View<const float> x,
                       View<float> y) {
  launch<gather_kernel>(s, one_thread_each(y.size()), x, y);
  if (softmax) launch<softmax_kernel>(s, of_cells(grid.cells(), y.shape.n), grid, y);
}

void detection_loss(Stream& s, const DetectionGrid& grid, const DetectionLoss& loss, View<const float> y,
                    const Truths& truths, const Step* step, View<float> delta, const LossWork& work,
                    LossReport* report) {
  launch<detection_loss_kernel>(s, of_cells(32 * grid.cells(), y.shape.n), grid, loss, y, truths, step,
                                work.rows, work.overlaps, delta);
  add_to_report(s, delta, grid.parts(), 1, work, {}, report);
}

void detection_backward(Stream& s, View<const float> delta, View<float> dx, bool overwrite) {
  launch<scatter_kernel>(s, one_thread_each(delta.size()), delta, dx, overwrite);
}

void detection_candidates(Stream& s, const DetectionGrid& grid, View<const float> y, float threshold,
                          const DetectionLists& lists) {
  launch<candidates_kernel>(s, {dim3(unsigned(y.shape.n)), dim3(256)}, grid, y, threshold, lists);
}

}  // namespace osprey::cuda
