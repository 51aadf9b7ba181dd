// The contract of [detection], the head of YOLO v1, and its formulas. The CPU side is in
// layers/heads/detection.cpp and detection_loss.cpp, the kernels in cuda/detection.cu.
#pragma once

#include <cmath>

#include "core/random.h"
#include "cuda/detections.h"
#include "cuda/head.h"

namespace osprey {

// What the numbers of an image are, in Darknet's order: the probabilities of the classes for each cell, row
// by row; then how sure each box of each cell is; then the boxes, 4 numbers each.
struct DetectionGrid {
  int side = 7, boxes = 1, classes = 1;  // cells along an edge of the image; boxes of a cell
  bool squared = false;                  // w and h are square roots, as the paper has them

  HOST_DEVICE int cells() const { return side * side; }
  HOST_DEVICE int boxes_of_image() const { return cells() * boxes; }
  HOST_DEVICE int numbers() const { return cells() * (classes + 5 * boxes); }  // of an image
  HOST_DEVICE int classes_at(int cell) const { return cell * classes; }
  HOST_DEVICE int confidence_at(int box) const { return cells() * classes + box; }  // box: of the image
  HOST_DEVICE int box_at(int box) const { return cells() * (classes + boxes) + 4 * box; }
  HOST_DEVICE SlopeParts parts() const { return {numbers(), confidence_at(0), box_at(0), false}; }

  // Where a number lies in the input [N,H,W,C] of the head, which Darknet flattens channel by channel.
  HOST_DEVICE static int in_input(Shape input, int image, int number) {
    const int pixels = input.h * input.w;
    return image * pixels * input.c + number % pixels * input.c + number / pixels;
  }

  // In units of the network input; numbers: those of an image.
  HOST_DEVICE CentreBox box(const float* numbers, int box) const {
    const float* b = numbers + box_at(box);
    const int cell = box / boxes;
    return {(b[0] + float(cell % side)) / float(side), (b[1] + float(cell / side)) / float(side),
            squared ? b[2] * b[2] : b[2], squared ? b[3] * b[3] : b[3]};
  }
};

struct DetectionLoss {
  float coord_scale = 1, object_scale = 1, noobject_scale = 1, class_scale = 1;
  bool rescore = false, forced = false, random = false;
};

// The formulas of the loss; all slopes are negative gradients, plain differences of squares.
namespace detection_rules {

constexpr int kRandomImages = 64000;  // so many images teach a random box of a cell, where random=1
constexpr float kSmall = 0.1f;        // forced=1: boxes with less area are the second's

// The first truth whose centre lies in the cell; false if there is none. An image has one object for a cell.
HOST_DEVICE inline bool truth_of_cell(const DetectionGrid& grid, const Truths& truths, int image, int cell,
                                      Truth& truth) {
  const int count = truths.counts[image];
  for (int t = 0; t < count; ++t)
    if (read_truth(truths, image, t, grid.classes, truth) &&
        first_row_of_cell(truth.box, 1, grid.side, grid.side) == cell)
      return true;
  return false;
}

HOST_DEVICE inline float squared_distance(CentreBox a, CentreBox b) {
  const float x = a.x - b.x, y = a.y - b.y, w = a.w - b.w, h = a.h - b.h;
  return x * x + y * y + w * w + h * h;
}

// Which box of the image learns the truth of a cell: of the cell's the one that overlaps it most, or if none
// does, the nearest in its four numbers; the first of equals.
HOST_DEVICE inline int best_box(const DetectionGrid& grid, const float* numbers, int cell, CentreBox truth) {
  const int first = cell * grid.boxes;
  int best = first;
  float best_overlap = 0, nearest = INFINITY;
  for (int box = first; box < first + grid.boxes; ++box) {
    const CentreBox b = grid.box(numbers, box);
    const float overlap = iou(corners(b), corners(truth)), distance = squared_distance(b, truth);
    const bool better = overlap > 0 || best_overlap > 0 ? overlap > best_overlap : distance < nearest;
    if (!better) continue;
    best = box;
    best_overlap = overlap;
    nearest = distance;
  }
  return best;
}

// The same with what `forced` and `random` say about it.
HOST_DEVICE inline int taught_box(const DetectionGrid& grid, const DetectionLoss& loss, const float* numbers,
                                  int image, int cell, CentreBox truth, const Step& step) {
  const int first = cell * grid.boxes;
  if (loss.random && step.seen < kRandomImages) {
    const uint64_t index = uint64_t(image) * uint64_t(grid.cells()) + uint64_t(cell);
    return first + Random(step.seed, Purpose::choose_rows, uint64_t(step.pass), index).below(grid.boxes);
  }
  if (loss.forced) return first + (truth.w * truth.h < kSmall ? 1 : 0);
  return best_box(grid, numbers, cell, truth);
}

HOST_DEVICE inline float wanted_confidence(const DetectionLoss& loss, float overlap) {
  return loss.rescore ? overlap : 1;
}

// What the four numbers of a box of the cell should be.
HOST_DEVICE inline CentreBox wanted_box(const DetectionGrid& grid, int cell, CentreBox truth) {
  return {truth.x * float(grid.side) - float(cell % grid.side),
          truth.y * float(grid.side) - float(cell / grid.side), grid.squared ? sqrtf(truth.w) : truth.w,
          grid.squared ? sqrtf(truth.h) : truth.h};
}

}  // namespace detection_rules

namespace cpu {
// From x [N,H,W,C] to y [N,1,1,numbers]; with `softmax` the classes of each cell become probabilities.
void detection_forward(Stream&, const DetectionGrid&, bool softmax, View<const float> x, View<float> y);
// Writes Darknet's delta [N,1,1,numbers], the negative gradient, of the output y, and adds what there is to
// tell to *report. Truths that cannot be learnt are left out; the CPU warns of them.
void detection_loss(Stream&, const DetectionGrid&, const DetectionLoss&, View<const float> y, const Truths&,
                    const Step*, View<float> delta, const LossWork&, LossReport* report);
// dx [N,H,W,C] receives minus delta; with `overwrite`, whatever was in dx is lost.
void detection_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite);
}  // namespace cpu

namespace cuda {
void detection_forward(Stream&, const DetectionGrid&, bool softmax, View<const float> x, View<float> y);
void detection_loss(Stream&, const DetectionGrid&, const DetectionLoss&, View<const float> y, const Truths&,
                    const Step*, View<float> delta, const LossWork&, LossReport* report);
void detection_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite);
// Appends the boxes of y of which a class is above the threshold.
void detection_candidates(Stream&, const DetectionGrid&, View<const float> y, float threshold,
                          const DetectionLists&);
}  // namespace cuda

}  // namespace osprey
