// The contract of [yolo] and [Gaussian_yolo], and their formulas. The CPU side is in layers/heads/yolo.cpp
// and yolo_loss.cpp, the kernels in cuda/yolo.cu.
#pragma once

#include <cfloat>
#include <cmath>

#include "core/class_loss.h"
#include "core/feedback.h"
#include "core/iou_loss.h"
#include "core/similarity.h"
#include "cuda/detections.h"
#include "cuda/head.h"

namespace osprey {

enum class OverlapKind { iou, giou, diou, ciou };
inline constexpr const char* kOverlapKindNames[] = {"iou", "giou", "diou", "ciou"};

HOST_DEVICE inline float overlap(OverlapKind kind, Box a, Box b) {
  switch (kind) {
    case OverlapKind::iou:
      return iou(a, b);
    case OverlapKind::giou:
      return giou(a, b);
    case OverlapKind::diou:
      return diou(a, b);
    case OverlapKind::ciou:
      return ciou(a, b);
  }
  return 0;
}

// Of a box, the point that x and y of its row tell. [yolo] knows the centre only.
enum class YoloPoint { center, left_top, right_bottom };
inline constexpr const char* kYoloPointNames[] = {"center", "left_top", "right_bottom"};

// Where the boxes of a [yolo] layer lie: its anchors, and the sizes that turn rows into boxes.
struct YoloGrid {
  int classes = 20;
  View<const int> class_map;   // the head's class for each class of the labels; empty: they are the same
  View<const Anchor> anchors;  // all `num` of them, pixels of the network input
  View<const int> mask;        // those of this layer
  bool new_coords = false;
  float scale_x_y = 1;    // stretches centres about the middle of their cell
  bool gaussian = false;  // [Gaussian_yolo]: each number of a box is followed by its deviation, 0..1
  YoloPoint point = YoloPoint::center;
  int rows = 0, columns = 0;
  float network_width = 0, network_height = 0;

  // Where an entry lies in a row.
  HOST_DEVICE int entry(RowEntry e) const {
    if (!gaussian) return e;
    return e == kClasses ? 2 * kObjectness + 1 : 2 * e;
  }
  HOST_DEVICE int row_length() const { return entry(kClasses) + classes; }
  HOST_DEVICE int numbers_of_box() const { return entry(kObjectness); }  // with their deviations
  HOST_DEVICE CentreBox numbers(const float* row) const {
    return {row[entry(kX)], row[entry(kY)], row[entry(kW)], row[entry(kH)]};
  }
  // What is left of the objectness of an activated row for the mean deviation of its box.
  HOST_DEVICE float certain_objectness(const float* row) const {
    const float objectness = row[entry(kObjectness)];
    return gaussian ? objectness * (1 - (row[1] + row[3] + row[5] + row[7]) / 4) : objectness;
  }
  SlopeParts parts() const { return {row_length(), entry(kObjectness), entry(kClasses)}; }

  HOST_DEVICE int rows_of_image() const { return rows * columns * mask.size(); }
  HOST_DEVICE RowPlace place(int row) const { return place_of_row(row, mask.size(), columns); }
  HOST_DEVICE int first_row(CentreBox box) const {
    return first_row_of_cell(to_point(box), mask.size(), rows, columns);
  }
  HOST_DEVICE bool read(const Truths& truths, int image, int t, Truth& truth) const {
    return read_truth(truths, image, t, classes, truth, class_map);
  }
  HOST_DEVICE Anchor anchor(RowPlace place) const { return anchors[mask[place.anchor]]; }
  // Which of this layer's anchors `a` is; -1 for one of another head.
  HOST_DEVICE int find(int a) const {
    for (int k = 0; k < mask.size(); ++k)
      if (mask[k] == a) return k;
    return -1;
  }

  // A box whose x and y are the point that rows tell, from one whose x and y are its centre, and back.
  HOST_DEVICE CentreBox to_point(CentreBox box) const { return moved(box, point == YoloPoint::left_top); }
  HOST_DEVICE CentreBox to_centre(CentreBox box) const { return moved(box, point != YoloPoint::left_top); }
  HOST_DEVICE CentreBox moved(CentreBox box, bool up) const {
    if (point == YoloPoint::center) return box;
    const float part = up ? -0.5f : 0.5f;
    return {box.x + part * box.w, box.y + part * box.h, box.w, box.h};
  }
  // The box of an activated row, in units of the network input.
  HOST_DEVICE CentreBox box(const float* row, RowPlace at) const {
    const Anchor a = anchor(at);
    const CentreBox n = numbers(row);
    const float x = (float(at.i) + n.x) / float(columns), y = (float(at.j) + n.y) / float(rows);
    if (new_coords) return {x, y, 4 * n.w * n.w * a.w / network_width, 4 * n.h * n.h * a.h / network_height};
    return to_centre({x, y, float(exp(double(n.w)) * a.w / network_width),
                      float(exp(double(n.h)) * a.h / network_height)});
  }
  HOST_DEVICE Box shape(int a) const {
    return corners({0, 0, anchors[a].w / network_width, anchors[a].h / network_height});
  }
  HOST_DEVICE Box in_pixels(Box b) const { return scaled(b, network_width, network_height); }
  // How fast an activated centre moves with the input of the head, by the centre itself.
  HOST_DEVICE float centre_slope(float activated) const {
    if (new_coords) return scale_x_y;
    const float p = (activated + 0.5f * (scale_x_y - 1)) / scale_x_y;
    return scale_x_y * p * (1 - p);
  }
};

struct YoloLoss {
  float ignore_thresh = 0.5f, truth_thresh = 1, iou_thresh = 1;
  OverlapKind iou_thresh_kind = OverlapKind::iou;
  // How alike boxes are, for ignore_thresh, truth_thresh and the anchor that fits a truth best: IoU or NWD.
  SimilarityRule similarity;  // its constant is that of BoxLoss::nwd, too
  BoxLoss box_loss = BoxLoss::mse;
  float iou_normalizer = 0.75f, obj_normalizer = 1, cls_normalizer = 1, delta_normalizer = 1;
  float uc_normalizer = 1;  // of the deviations
  float max_delta = FLT_MAX;
  float label_smooth_eps = 0;
  bool objectness_smooth = false, focal_loss = false;
  Feedback feedback;
  View<FeedbackSums> feedback_of_images;  // [N,1,1,1]: memory to work in, on the CPU, where feedback is on
  View<const float> class_multipliers;    // from counters_per_class; empty without

  HOST_DEVICE float multiplier(int class_id) const {
    return class_multipliers ? class_multipliers[class_id] : 1.0f;
  }
  HOST_DEVICE float smoothed(float target) const {
    return target * (1 - label_smooth_eps) + label_smooth_eps / 2;
  }
  // What Darknet prints: for mse the squares of all slopes, for the IoU family (and NWD) the mean of 1 - IoU,
  // beside squares.
  ReportRule report_rule() const {
    return box_loss == BoxLoss::mse ? ReportRule{} : ReportRule{true, iou_normalizer, obj_normalizer};
  }
};

// The formulas of the loss. p is an activated row; all slopes are negative gradients. Darknet takes them as
// if logistic and cross entropy met (target minus probability), for x and y too.
namespace yolo_rules {

// How alike two boxes in units of the network input are.
HOST_DEVICE inline float likeness(const YoloGrid& grid, const YoloLoss& loss, Box a, Box b) {
  if (loss.similarity.by == Similarity::iou) return iou(a, b);
  return loss.similarity(grid.in_pixels(a), grid.in_pixels(b));
}

// Of all heads' anchors the one that fits a truth's shape best, the first of equals. Distances are compared
// instead of NWD, which is 0 for all anchors if the truth is large enough.
HOST_DEVICE inline int best_anchor(const YoloGrid& grid, const YoloLoss& loss, Box shape) {
  float best = -INFINITY;
  int best_anchor = 0;
  for (int a = 0; a < grid.anchors.size(); ++a) {
    const float fit = loss.similarity.by == Similarity::iou
                          ? iou(grid.shape(a), shape)
                          : -squared_wasserstein(grid.in_pixels(grid.shape(a)), grid.in_pixels(shape));
    if (fit > best) best = fit, best_anchor = a;
  }
  return best_anchor;
}

// Of the objectness of a row that no truth is taught to, whose box overlaps one by `best` at most.
HOST_DEVICE inline float background_slope(const YoloLoss& loss, float objectness, float best, bool forgiven) {
  const float slope = -loss.obj_normalizer * objectness;
  if (!forgiven) return slope;
  return loss.objectness_smooth ? fmaxf(slope, loss.obj_normalizer * (best - objectness)) : 0.0f;
}
// Darknet forgives an overlap only where some class is seen at all.
HOST_DEVICE inline bool is_seen(float probability) { return probability > 0.25f; }

// What a row learns whose box overlaps a truth by `best`, more than truth_thresh.
HOST_DEVICE inline float target_of_overlap(const YoloLoss& loss, float best) {
  return loss.objectness_smooth ? best * best : 1;
}

HOST_DEVICE inline float matched_objectness_slope(const YoloLoss& loss, const Truth& truth,
                                                  float objectness) {
  return loss.multiplier(truth.class_id) * loss.obj_normalizer * (1 - objectness);
}

// What focal_loss multiplies the slopes of classes by, for the probability of the true class.
HOST_DEVICE inline float class_factor(const YoloLoss& loss, float probability) {
  return loss.focal_loss ? focal_factor(probability) : 1.0f;
}
// Of the probability p of any class, `is_true` or not, of a row that learns its first truth. Focal loss is
// without smoothing and multipliers, as in Darknet; there cls_normalizer counts only together with
// counters_per_class, a quirk that shipped cfgs were tuned with.
HOST_DEVICE inline float class_slope(const YoloLoss& loss, float p, bool is_true, int class_id,
                                     float factor) {
  if (loss.focal_loss) return factor * (float(is_true) - p);
  const float slope = loss.smoothed(float(is_true)) - p;
  return is_true && loss.class_multipliers ? slope * (loss.multiplier(class_id) * loss.cls_normalizer)
                                           : slope;
}
// Which class's slope says that a row has learnt from another truth already.
HOST_DEVICE inline int telling_class(const YoloGrid& grid, int class_id) {
  return grid.gaussian ? 0 : class_id;
}
// Of the true class of such a row: only this class is taught.
HOST_DEVICE inline float further_class_slope(const YoloLoss& loss, float p, int class_id) {
  return loss.multiplier(class_id) * (loss.smoothed(1) - p);
}

// Small boxes weigh more.
HOST_DEVICE inline float size_weight(CentreBox truth) { return 2 - truth.w * truth.h; }

// What the numbers of a row should be, less what they are.
HOST_DEVICE inline CentreBox error(const YoloGrid& grid, CentreBox t, const float* p, RowPlace at) {
  const Anchor a = grid.anchor(at);
  const CentreBox n = grid.numbers(p), wanted = grid.to_point(t);
  const float w = t.w * grid.network_width / a.w, h = t.h * grid.network_height / a.h;
  const float tw = grid.new_coords ? sqrtf(w / 4) : logf(w), th = grid.new_coords ? sqrtf(h / 4) : logf(h);
  return {wanted.x * float(grid.columns) - float(at.i) - n.x, wanted.y * float(grid.rows) - float(at.j) - n.y,
          tw - n.w, th - n.h};
}

HOST_DEVICE inline CentreBox overlap_error(const YoloGrid& grid, BoxLoss kind, CentreBox truth,
                                           const float* p, RowPlace at) {
  CentreBox predicted = grid.box(p, at);
  if (predicted.w == 0) predicted.w = 1;  // Darknet's guard against 0/0
  if (predicted.h == 0) predicted.h = 1;
  CentreBox slope = iou_ascent(kind, predicted, truth);
  if (!grid.new_coords) {
    slope.w *= expf(p[grid.entry(kW)]);
    slope.h *= expf(p[grid.entry(kH)]);
  }
  return slope;
}

constexpr float kNwdLossEps = 1e-7f;  // of its authors' loss

// For [yolo] only. The exact slopes of NWD along the input of the head, unlike those of overlap_error(): NWD
// is about pixels, not about cells.
HOST_DEVICE inline CentreBox nwd_error(const YoloGrid& grid, const YoloLoss& loss, CentreBox truth,
                                       const float* p, RowPlace at) {
  const Box predicted = grid.in_pixels(corners(grid.box(p, at)));
  const Box s = nwd_slopes(predicted, grid.in_pixels(corners(truth)), loss.similarity.constant, kNwdLossEps);
  const float cell_width = grid.network_width / float(grid.columns);
  const float cell_height = grid.network_height / float(grid.rows);
  // d(4 w^2)/dw = 2/w of it; d(e^w)/dw is itself.
  const float w = grid.new_coords ? 8 * p[kW] * grid.anchor(at).w : predicted.width();
  const float h = grid.new_coords ? 8 * p[kH] * grid.anchor(at).h : predicted.height();
  return {(s.x1 + s.x2) * cell_width * grid.centre_slope(p[kX]),
          (s.y1 + s.y2) * cell_height * grid.centre_slope(p[kY]), (s.x2 - s.x1) / 2 * w,
          (s.y2 - s.y1) / 2 * h};
}

// A box that several classes pulled at takes the mean of the pulls.
HOST_DEVICE inline bool averages_boxes(const YoloGrid& grid, const YoloLoss& loss) {
  return grid.gaussian || loss.iou_thresh < 1;
}

HOST_DEVICE inline float bounded(float v, float bound) {
  const float finite = fabsf(v) <= FLT_MAX ? v : 0;
  return fminf(fmaxf(finite, -bound), bound);
}

// The loss of a matched box by which feedback measures, without its gain.
HOST_DEVICE inline float location_loss(const YoloGrid& grid, const YoloLoss& loss, const Truth& truth,
                                       const float* p, RowPlace at, float misfit) {
  if (loss.box_loss != BoxLoss::mse) return misfit;
  const CentreBox e = error(grid, truth.box, p, at);
  const float weight = size_weight(truth.box);
  return weight > 0 ? weight * (e.x * e.x + e.y * e.y + e.w * e.w + e.h * e.h) : 0;
}

// By the place of the number in its row. To be added to what is there, because several truths may share the
// row.
struct BoxSlopes {
  float of[2 * kObjectness];
};

// The slopes of a logarithm of a normal distribution, as the authors of Gaussian YOLO code it (Choi et al.,
// "Gaussian YOLOv3", ICCV 2019): 0.3 keeps deviations away from 0, and the factor, nearly 1/2, fades
// where the density is of the order of 1e-9.
struct NormalSlopes {
  float mean, deviation;
};
HOST_DEVICE inline NormalSlopes normal_slopes(float error, float deviation) {
  const float e = error / deviation, wide = deviation + 0.3f;
  const float density = expf(-e * e / 2) / (2.50662827f * wide);
  const float factor = 0.5f * density / (density + 1e-9f);
  return {factor * e / deviation, factor * (e * e / deviation - 1 / wide)};
}

HOST_DEVICE inline BoxSlopes box_slopes(const YoloGrid& grid, const YoloLoss& loss, const Truth& truth,
                                        const float* p, RowPlace at) {
  const float scale = loss.iou_normalizer * loss.multiplier(truth.class_id) *
                      loss.feedback.gain(grid.in_pixels(corners(truth.box)));
  const bool mse = loss.box_loss == BoxLoss::mse;
  const float weight = size_weight(truth.box);
  CentreBox s = error(grid, truth.box, p, at);
  const float errors[] = {s.x, s.y, s.w, s.h};
  if (!mse)
    s = loss.box_loss == BoxLoss::nwd ? nwd_error(grid, loss, truth.box, p, at)
                                      : overlap_error(grid, loss.box_loss, truth.box, p, at);
  const float slopes[] = {s.x, s.y, s.w, s.h};
  BoxSlopes result;
  for (int k = 0; k < kObjectness; ++k) {
    if (grid.gaussian) {
      const NormalSlopes normal = normal_slopes(errors[k], p[2 * k + 1]);
      result.of[2 * k] = bounded((mse ? weight * normal.mean : slopes[k]) * scale, loss.max_delta);
      result.of[2 * k + 1] = bounded(weight * normal.deviation * loss.uc_normalizer, loss.max_delta);
    } else {
      result.of[k] = mse ? weight * slopes[k] * scale : bounded(slopes[k] * scale, loss.max_delta);
    }
  }
  return result;
}

struct Fit {
  float overlap, misfit;  // IoU, and what the report counts: 1 - IoU, 1 - GIoU or 1 - NWD
};
HOST_DEVICE inline Fit fit(const YoloGrid& grid, const YoloLoss& loss, const Truth& truth, const float* p,
                           RowPlace at) {
  const Box predicted = corners(grid.box(p, at)), wanted = corners(truth.box);
  const float overlap = iou(predicted, wanted);
  if (loss.box_loss == BoxLoss::nwd)
    return {overlap, 1 - nwd(grid.in_pixels(predicted), grid.in_pixels(wanted), loss.similarity.constant,
                             kNwdLossEps)};
  return {overlap, 1 - (loss.box_loss == BoxLoss::giou ? giou(predicted, wanted) : overlap)};
}

}  // namespace yolo_rules

namespace cpu {
// x and y [N,H,W,anchors * row_length] may be at one address.
void yolo_forward(Stream&, const YoloGrid&, View<const float> x, View<float> y);
// Writes Darknet's delta, the negative gradient for the head's input, of the activated output y
// [N,H,W,anchors * row_length], adds what there is to tell to *report, and moves the share of the feedback.
// Truths that cannot be learnt are left out; the CPU warns of them.
void yolo_loss(Stream&, const YoloGrid&, const YoloLoss&, View<const float> y, const Truths&,
               View<float> delta, const LossWork&, LossReport* report);
}  // namespace cpu

namespace cuda {
void yolo_forward(Stream&, const YoloGrid&, View<const float> x, View<float> y);
void yolo_loss(Stream&, const YoloGrid&, const YoloLoss&, View<const float> y, const Truths&,
               View<float> delta, const LossWork&, LossReport* report);
// Appends the rows of y [N,H,W,anchors * row_length] whose objectness is above the threshold.
void yolo_candidates(Stream&, const YoloGrid&, View<const float> y, float threshold, const DetectionLists&);
}  // namespace cuda

}  // namespace osprey
