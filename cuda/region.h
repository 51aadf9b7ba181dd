// The contract of [region], and its formulas. The CPU side is in layers/heads/region.cpp and region_loss.cpp,
// the kernels in cuda/region.cu.
#pragma once

#include <cmath>

#include "core/activations.h"
#include "core/class_loss.h"
#include "core/class_tree.h"
#include "cuda/detections.h"
#include "cuda/head.h"

namespace osprey {

// Where the boxes of a [region] layer lie. Its rows hold x and y before the logistic.
struct RegionGrid {
  int classes = 20;
  View<const Anchor> anchors;  // cells of the grid
  int rows = 0, columns = 0;
  ClassTree tree;             // without one, classes exclude each other, or each stands for itself
  View<const int> class_map;  // of the labels' classes; empty: they are the head's

  HOST_DEVICE int row_length() const { return kClasses + classes; }
  HOST_DEVICE int rows_of_image() const { return rows * columns * anchors.size(); }
  HOST_DEVICE RowPlace place(int row) const { return place_of_row(row, anchors.size(), columns); }
  HOST_DEVICE int first_row(CentreBox box) const {
    return first_row_of_cell(box, anchors.size(), rows, columns);
  }
  HOST_DEVICE bool read(const Truths& truths, int image, int t, Truth& truth) const {
    return read_truth(truths, image, t, classes, truth, class_map);
  }
  SlopeParts parts() const { return {row_length(), kObjectness, kClasses}; }

  // The box of a row, in units of the network input.
  HOST_DEVICE CentreBox box(const float* row, RowPlace at) const {
    const Anchor a = anchors[at.anchor];
    return {(float(at.i) + logistic(row[kX])) / float(columns),
            (float(at.j) + logistic(row[kY])) / float(rows), float(exp(double(row[kW])) * a.w / columns),
            float(exp(double(row[kH])) * a.h / rows)};
  }
  // That of the anchor itself, in the middle of its cell.
  HOST_DEVICE CentreBox own_box(RowPlace at) const {
    const Anchor a = anchors[at.anchor];
    return {(float(at.i) + 0.5f) / float(columns), (float(at.j) + 0.5f) / float(rows), a.w / float(columns),
            a.h / float(rows)};
  }
};

struct RegionLoss {
  float coord_scale = 1, object_scale = 1, noobject_scale = 1, class_scale = 1;
  float thresh = 0.5f;
  int classfix = 0;
  bool rescore = false, bias_match = false, focal_loss = false;
  bool background =
      false;  // "objectness" is the probability of there being nothing, a class among the others
};

// What makes probabilities of a row's numbers for the classes.
enum class RegionClasses { as_they_are, softmax, softmax_with_background };

// The formulas of the loss. p is a row of the output; all slopes are negative gradients. Those of x, y and
// objectness are those of squares through the logistic; w, h and the classes have none of it.
namespace region_rules {

constexpr float kWarmUpScale = 0.01f;
// The first images also learn the anchors.
HOST_DEVICE inline bool warms_up(const Step& step) { return step.seen < 12800; }

// The derivative of the logistic where it has the value p.
HOST_DEVICE inline float logistic_slope(float p) { return p * (1 - p); }

HOST_DEVICE inline float objectness_slope(float scale, float wanted, float objectness) {
  return scale * (wanted - objectness) * logistic_slope(objectness);
}

// Whether a row whose box overlaps a truth by `best` at most is not told that it is background.
HOST_DEVICE inline bool forgiven(const RegionLoss& loss, float best) {
  return loss.classfix != -1 && best > loss.thresh;
}
HOST_DEVICE inline float background_slope(const RegionLoss& loss, float objectness, float best) {
  if (forgiven(loss, best)) return 0;
  if (loss.background) return loss.noobject_scale * (1 - objectness);
  return objectness_slope(loss.noobject_scale, loss.classfix == -1 ? best : 0, objectness);
}
HOST_DEVICE inline float matched_slope(const RegionLoss& loss, float objectness, float overlap) {
  if (loss.background) return -loss.object_scale * objectness;
  return objectness_slope(loss.object_scale, loss.rescore ? overlap : 1, objectness);
}
// By how much such a row learns the class of the truth; 0: not at all.
HOST_DEVICE inline float overlap_class_scale(const RegionLoss& loss, float objectness, float best) {
  if (!forgiven(loss, best) || loss.classfix <= 0) return 0;
  return loss.class_scale * (loss.classfix == 2 ? objectness : 1);
}

HOST_DEVICE inline CentreBox box_slopes(const RegionGrid& grid, CentreBox t, const float* p, RowPlace at,
                                        float scale) {
  const Anchor anchor = grid.anchors[at.anchor];
  const float x = logistic(p[kX]), y = logistic(p[kY]);
  return {scale * (t.x * float(grid.columns) - float(at.i) - x) * logistic_slope(x),
          scale * (t.y * float(grid.rows) - float(at.j) - y) * logistic_slope(y),
          scale * (logf(t.w * float(grid.columns) / anchor.w) - p[kW]),
          scale * (logf(t.h * float(grid.rows) / anchor.h) - p[kH])};
}

// What the slopes of the classes are multiplied by, for the probability of the true class.
HOST_DEVICE inline float class_factor(const RegionLoss& loss, float scale, float probability) {
  return loss.focal_loss ? scale * focal_factor(probability) : scale;
}

// How well the box of a row has the shape of a truth, which lies at 0,0: matching compares the anchors of a
// cell by it, or (without bias_match) the boxes that they predict.
HOST_DEVICE inline float shape_overlap(const RegionGrid& grid, const RegionLoss& loss, Box shape,
                                       const float* p, RowPlace at) {
  const CentreBox own = loss.bias_match ? grid.own_box(at) : grid.box(p, at);
  return iou(corners({0, 0, own.w, own.h}), shape);
}

// With classfix=-1 rows that are likelier empty than not are not listed.
HOST_DEVICE inline float listed_objectness(const RegionLoss& loss, float objectness) {
  if (loss.background) return 1;
  return loss.classfix == -1 && objectness < 0.5f ? 0 : objectness;
}

}  // namespace region_rules

namespace cpu {
// x and y [N,H,W,anchors * row_length] may be at one address.
void region_forward(Stream&, View<const float> x, View<float> y, int row_length, RegionClasses);
// Writes Darknet's delta, the negative gradient for the head's input, of the output y
// [N,H,W,anchors * row_length], and adds what there is to tell to *report. Truths that cannot be learnt are
// left out; the CPU warns of them.
void region_loss(Stream&, const RegionGrid&, const RegionLoss&, View<const float> y, const Truths&,
                 const Step*, View<float> delta, const LossWork&, LossReport* report);
}  // namespace cpu

namespace cuda {
void region_forward(Stream&, View<const float> x, View<float> y, int row_length, RegionClasses);
void region_loss(Stream&, const RegionGrid&, const RegionLoss&, View<const float> y, const Truths&,
                 const Step*, View<float> delta, const LossWork&, LossReport* report);
// Appends the rows of y [N,H,W,anchors * row_length] of which a class is above the threshold; with a tree, by
// their most special class that is likelier than `tree_threshold`, where objectness is above the threshold.
void region_candidates(Stream&, const RegionGrid&, const RegionLoss&, View<const float> y, float threshold,
                       float tree_threshold, const DetectionLists&);
// The same for a tree of which only the classes of the map are listed: writes their probabilities to `mapped`
// [N,1,rows of an image,classes of the map].
void region_mapped_candidates(Stream&, const RegionGrid&, View<const float> y, float threshold,
                              View<float> mapped, const DetectionLists&);
}  // namespace cuda

}  // namespace osprey
