// What Darknet's heads share: how their numbers lie, which truths can be learnt, and how a loss is told.
// The CPU side is in layers/heads/head_backward.cpp, the kernels in cuda/head.cu.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// Input and output of a head are [N,H,W,anchors x (5 + classes)]: at each location one row per anchor, x y w
// h objectness and then the classes, side by side. The rows of an image are numbered as they lie in memory.
enum RowEntry { kX, kY, kW, kH, kObjectness, kClasses };

struct Anchor {  // [yolo]: pixels of the network input; [region]: cells of the head's grid
  float w = 0, h = 0;
};

struct RowPlace {
  int i, j, anchor;  // column and row of the grid; which of the head's anchors
};

HOST_DEVICE inline RowPlace place_of_row(int row, int anchors, int columns) {
  return {row / anchors % columns, row / anchors / columns, row % anchors};
}

// The first row of the cell in which a centre lies, 0..1; one on the right or bottom edge, 1, is in the last,
// and centres outside are in the cell next to them.
HOST_DEVICE inline int first_row_of_cell(CentreBox box, int anchors, int rows, int columns) {
  // Bounded before it is an int, which has no room for all floats.
  const int i = int(fminf(fmaxf(box.x * float(columns), 0), float(columns - 1)));
  const int j = int(fminf(fmaxf(box.y * float(rows), 0), float(rows - 1)));
  return (j * columns + i) * anchors;
}

// False for a truth that cannot be learnt: a class that the head does not have, a box without area or wholly
// outside of the image, or numbers that are none. With a map, it says which class of the head each class of
// the labels is.
HOST_DEVICE inline bool read_truth(const Truths& truths, int image, int t, int classes, Truth& truth,
                                   View<const int> map = {}) {
  const float* values = &truths.boxes(image, 0, t, 0);
  truth.box = {values[0], values[1], values[2], values[3]};
  truth.class_id = int(values[4]);
  if (map) truth.class_id = truth.class_id >= 0 && truth.class_id < map.size() ? map[truth.class_id] : -1;
  const CentreBox& b = truth.box;
  return truth.class_id >= 0 && truth.class_id < classes && b.w > 0 && b.h > 0 && b.w < INFINITY &&
         b.h < INFINITY && fabsf(b.x - 0.5f) < 0.5f + b.w / 2 && fabsf(b.y - 0.5f) < 0.5f + b.h / 2;
}

// Memory in which a loss works; there is nothing of use in it when the loss starts.
struct LossWork {
  // What matching hands on, on Device::cuda.
  View<int> rows;        // [N, 1, truths, slots]: rows of the image that the truth is taught to, or -1
  View<float> overlaps;  // [N, 1, truths, 2 * slots]: for each its IoU and its misfit, as Fit in cuda/yolo.h
  Tensor parts;          // bytes for loss_parts(shape) reports

  View<LossReport> reports() const {
    const int bytes = int(sizeof(LossReport));
    return {static_cast<LossReport*>(parts.data), {1, 1, 1, parts.size() / bytes}};
  }
};

// The reports that a loss over slopes of this shape works with: one for each kSlopesPerPart slopes of an
// image, summed in the order of their numbers, so that a loss is the same, bit for bit, in every run.
constexpr int kSlopesPerPart = 8192;
inline int loss_parts(Shape delta) {
  return delta.n * ((delta.h * delta.w * delta.c + kSlopesPerPart - 1) / kSlopesPerPart);
}

// Which part of the loss a slope belongs to. Of [yolo] and [region] each row has a box, then objectness, then
// classes; of [detection] an image is one such row, the other way round.
struct SlopeParts {
  int row_length, objectness, end_of_objectness;  // where they begin and end in a row
  bool boxes_first = true;

  HOST_DEVICE bool of_objectness(int entry) const { return entry >= objectness && entry < end_of_objectness; }
  HOST_DEVICE bool of_box(int entry) const { return (entry < objectness) == boxes_first; }  // of the others
};

// How the sums over a mini-batch become what Darknet prints.
struct ReportRule {
  bool box_from_misfits = false;  // the mean of the misfits instead of the sum of the box's squared slopes
  float box_factor = 1, other_factor = 1;
};

HOST_DEVICE inline void finish(ReportRule rule, LossReport& sum) {
  if (rule.box_from_misfits) sum.box_loss = sum.matched ? sum.box_loss / double(sum.matched) : 0;
  sum.box_loss *= rule.box_factor;
  sum.class_loss *= rule.other_factor;
  sum.objectness_loss *= rule.other_factor;
  sum.loss = sum.box_loss + sum.class_loss + sum.objectness_loss;
}

namespace cpu {
// dx receives minus delta, which is the negative gradient; with `overwrite`, whatever was in dx is lost.
void head_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite);
}  // namespace cpu

namespace cuda {
void head_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite);

// Adds to *report what the squared slopes and the matches in `work` sum up to; then multiplies the slopes by
// `factor`.
void add_to_report(Stream&, View<float> delta, SlopeParts kinds, float factor, const LossWork& work,
                   ReportRule rule, LossReport* report);
}  // namespace cuda

}  // namespace osprey
