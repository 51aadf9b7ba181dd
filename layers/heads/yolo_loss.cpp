// How AlexeyAB's Darknet teaches a [yolo] layer, image by image:
//
//   1. every row is background: its objectness should be 0, unless its box overlaps a truth by more than
//      ignore_thresh and it is not blind to classes;
//   2. each truth goes to the anchor that fits its shape best, if that is one of this layer's, at the cell of
//   the
//      truth's centre; with iou_thresh < 1 also to the other anchors that fit well;
//   3. with iou_thresh < 1, a box that several classes pulled at takes the mean of the pulls.
//
// Slopes are taken as if logistic and cross entropy met (target minus probability), for x and y too.
#include "layers/heads/yolo_loss.h"

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/parallel.h"
#include "layers/losses/class_loss.h"

namespace osprey {

CentreBox YoloGrid::box(const float* row, Anchor anchor, int i, int j) const {
  const float x = (float(i) + row[kX]) / float(columns), y = (float(j) + row[kY]) / float(rows);
  if (new_coords)
    return {x, y, 4 * row[kW] * row[kW] * anchor.w / network_width,
            4 * row[kH] * row[kH] * anchor.h / network_height};
  return {x, y, float(std::exp(double(row[kW])) * anchor.w / network_width),
          float(std::exp(double(row[kH])) * anchor.h / network_height)};
}

namespace {

struct Truth {
  CentreBox box;
  int class_id;
};

float overlap(OverlapKind kind, Box a, Box b) {
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

float finite_or_zero(float v) { return std::isfinite(v) ? v : 0; }

class YoloImage {
 public:
  YoloImage(const YoloGrid& grid, const YoloLoss& loss, View<const float> y, const Truths& truths,
            View<float> delta, int image)
      : grid_(grid), loss_(loss), y_(y), truths_(truths), delta_(delta), image_(image) {}

  LossReport run() {
    const int count = truths_.counts[image_];
    for (int j = 0; j < grid_.rows; ++j)
      for (int i = 0; i < grid_.columns; ++i)
        for (int k = 0; k < int(grid_.mask.size()); ++k) background(j, i, k, count);
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (read(t, truth))
        match(truth);
      else
        warn(
            "[yolo] a truth of class {}, {} x {}, is left out: there are {} classes, and sizes must be "
            "positive",
            truth.class_id, truth.box.w, truth.box.h, grid_.classes);
    }
    if (loss_.iou_thresh < 1) average_boxes();
    sum_up();
    return report_;
  }

 private:
  int index(int j, int i, int k) const { return y_.shape.index(image_, j, i, k * grid_.row_length()); }
  Anchor anchor(int k) const { return grid_.anchors[grid_.mask[k]]; }
  float multiplier(int class_id) const {
    return loss_.class_multipliers.empty() ? 1 : loss_.class_multipliers[class_id];
  }

  // False for a truth that cannot be learnt: a class that the layer does not have, or no box at all.
  bool read(int t, Truth& truth) const {
    const float* values = &truths_.boxes(image_, 0, t, 0);
    truth = {{values[0], values[1], values[2], values[3]}, int(values[4])};
    return truth.class_id >= 0 && truth.class_id < grid_.classes && truth.box.w > 0 && truth.box.h > 0;
  }

  void background(int j, int i, int k, int count) {
    const int at = index(j, i, k);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    std::fill(d, d + grid_.row_length(), 0.0f);
    const Box predicted = corners(grid_.box(p, anchor(k), i, j));
    float best = 0;
    Truth truth, best_truth{};
    for (int t = 0; t < count; ++t) {
      if (!read(t, truth)) continue;
      const float overlap = iou(predicted, corners(truth.box));
      if (overlap > best) best = overlap, best_truth = truth;
    }
    d[kObjectness] = -loss_.obj_normalizer * p[kObjectness];
    // Darknet forgives an overlap only where some class is seen at all.
    if (best > loss_.ignore_thresh && std::any_of(p + kClasses, p + grid_.row_length(),
                                                  [](float probability) { return probability > 0.25f; }))
      d[kObjectness] = loss_.objectness_smooth
                           ? std::max(d[kObjectness], loss_.obj_normalizer * (best - p[kObjectness]))
                           : 0.0f;
    if (best > loss_.truth_thresh) teach_overlap(best_truth, best, j, i, k);
  }

  // A box that overlaps a truth by more than truth_thresh learns it too. Darknet does not count it as
  // matched.
  void teach_overlap(const Truth& truth, float best, int j, int i, int k) {
    const int at = index(j, i, k);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    const float target = loss_.objectness_smooth ? best * best : 1;
    d[kObjectness] = loss_.obj_normalizer * (target - p[kObjectness]);
    teach_class(p, d, truth.class_id);
    if (loss_.objectness_smooth)
      d[kClasses + truth.class_id] = multiplier(truth.class_id) * (target - p[kClasses + truth.class_id]);
    teach_box(truth, j, i, k);
  }

  void match(const Truth& truth) {
    // A centre on the right or bottom edge, 1, is in the last cell.
    const int i = std::clamp(int(truth.box.x * float(grid_.columns)), 0, grid_.columns - 1);
    const int j = std::clamp(int(truth.box.y * float(grid_.rows)), 0, grid_.rows - 1);
    const Box shape = corners({0, 0, truth.box.w, truth.box.h});
    float best = 0;
    int best_anchor = 0;
    for (int a = 0; a < int(grid_.anchors.size()); ++a) {
      const float overlap = iou(corners(grid_.shape(grid_.anchors[a])), shape);
      if (overlap > best) best = overlap, best_anchor = a;
    }
    const auto& mask = grid_.mask;
    const auto found = std::find(mask.begin(), mask.end(), best_anchor);
    if (found != mask.end()) positive(truth, j, i, int(found - mask.begin()));
    if (loss_.iou_thresh >= 1) return;
    for (int a = 0; a < int(grid_.anchors.size()); ++a) {  // in the order of the anchors, as Darknet does
      const auto k = std::find(mask.begin(), mask.end(), a);
      if (a != best_anchor && k != mask.end() &&
          overlap(loss_.iou_thresh_kind, corners(grid_.shape(grid_.anchors[a])), shape) > loss_.iou_thresh)
        positive(truth, j, i, int(k - mask.begin()));
    }
  }

  void positive(const Truth& truth, int j, int i, int k) {
    const int at = index(j, i, k);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    const Box predicted = corners(grid_.box(p, anchor(k), i, j)), wanted = corners(truth.box);
    const float overlap = iou(predicted, wanted);
    report_.iou += overlap;
    report_.box_loss += 1 - (loss_.box_loss == BoxLoss::giou ? giou(predicted, wanted) : overlap);
    ++report_.matched;
    teach_box(truth, j, i, k);
    if (!loss_.objectness_smooth || d[kObjectness] == 0)
      d[kObjectness] = multiplier(truth.class_id) * loss_.obj_normalizer * (1 - p[kObjectness]);
    teach_class(p, d, truth.class_id);
  }

  void teach_box(const Truth& truth, int j, int i, int k) {
    const int at = index(j, i, k);
    const CentreBox slope = loss_.box_loss == BoxLoss::mse
                                ? squared_error(truth.box, y_.data + at, j, i, anchor(k))
                                : overlap_error(truth.box, y_.data + at, j, i, anchor(k));
    const float scale = loss_.iou_normalizer * multiplier(truth.class_id);
    const float slopes[] = {slope.x, slope.y, slope.w, slope.h};
    for (int e = 0; e < 4; ++e) {  // adds, because several truths may share the row
      float v = slopes[e] * scale;
      if (loss_.box_loss != BoxLoss::mse)
        v = std::clamp(finite_or_zero(v), -loss_.max_delta, loss_.max_delta);
      delta_[at + e] += v;
    }
  }

  CentreBox squared_error(CentreBox t, const float* p, int j, int i, Anchor a) const {
    const float s = 2 - t.w * t.h;  // small boxes weigh more
    const float w = t.w * grid_.network_width / a.w, h = t.h * grid_.network_height / a.h;
    const float tw = grid_.new_coords ? std::sqrt(w / 4) : std::log(w),
                th = grid_.new_coords ? std::sqrt(h / 4) : std::log(h);
    return {s * (t.x * float(grid_.columns) - float(i) - p[kX]),
            s * (t.y * float(grid_.rows) - float(j) - p[kY]), s * (tw - p[kW]), s * (th - p[kH])};
  }

  CentreBox overlap_error(CentreBox truth, const float* p, int j, int i, Anchor a) const {
    CentreBox predicted = grid_.box(p, a, i, j);
    if (predicted.w == 0) predicted.w = 1;  // Darknet's guard against 0/0
    if (predicted.h == 0) predicted.h = 1;
    CentreBox slope = iou_ascent(loss_.box_loss, predicted, truth);
    if (!grid_.new_coords) {
      slope.w *= std::exp(p[kW]);
      slope.h *= std::exp(p[kH]);
    }
    return slope;
  }

  float smoothed(float target) const {
    return target * (1 - loss_.label_smooth_eps) + loss_.label_smooth_eps / 2;
  }

  void teach_class(const float* p, float* d, int class_id) const {
    const float* probability = p + kClasses;
    float* slope = d + kClasses;
    const float m = multiplier(class_id);
    if (slope[class_id] != 0) {  // the row has learnt from another truth: only this class is added
      slope[class_id] = m * (smoothed(1) - probability[class_id]);
      return;
    }
    if (loss_.focal_loss) {  // without smoothing and multipliers, as in Darknet
      const float factor = focal_factor(probability[class_id]);
      for (int c = 0; c < grid_.classes; ++c) slope[c] = factor * (float(c == class_id) - probability[c]);
      return;
    }
    for (int c = 0; c < grid_.classes; ++c) slope[c] = smoothed(float(c == class_id)) - probability[c];
    // cls_normalizer counts only together with counters_per_class, a quirk that shipped cfgs were tuned with.
    if (!loss_.class_multipliers.empty()) slope[class_id] *= m * loss_.cls_normalizer;
  }

  void average_boxes() {
    for_each_row([&](float* d) {
      if (d[kObjectness] == 0) return;
      const auto classes =
          std::count_if(d + kClasses, d + grid_.row_length(), [](float slope) { return slope > 0; });
      if (classes > 0)
        for (int e = 0; e < 4; ++e) d[e] /= float(classes);
    });
  }

  void sum_up() {
    double box = 0;
    for_each_row([&](float* d) {
      for (int e = 0; e < 4; ++e) box += double(d[e]) * d[e];
      report_.objectness_loss += double(d[kObjectness]) * d[kObjectness];
      for (int c = kClasses; c < grid_.row_length(); ++c) report_.class_loss += double(d[c]) * d[c];
    });
    if (loss_.box_loss == BoxLoss::mse) report_.box_loss = box;
  }

  template <class Body>
  void for_each_row(Body&& body) {
    const int first = delta_.shape.index(image_, 0, 0, 0), last = delta_.shape.index(image_ + 1, 0, 0, 0);
    for (int at = first; at < last; at += grid_.row_length()) body(delta_.data + at);
  }

  const YoloGrid& grid_;
  const YoloLoss& loss_;
  View<const float> y_;
  const Truths& truths_;
  View<float> delta_;
  int image_;
  LossReport report_;
};

}  // namespace

LossReport yolo_loss(const YoloGrid& grid, const YoloLoss& loss, View<const float> y, const Truths& truths,
                     View<float> delta, std::vector<LossReport>& images) {
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) images[n] = YoloImage(grid, loss, y, truths, delta, int(n)).run();
  });
  LossReport sum;
  for (const LossReport& image : images) {
    sum.iou += image.iou;
    sum.matched += image.matched;
    sum.box_loss += image.box_loss;
    sum.class_loss += image.class_loss;
    sum.objectness_loss += image.objectness_loss;
  }
  // What Darknet prints: for mse the squares of all slopes, for the IoU family the mean of 1 - IoU, beside
  // squares.
  if (loss.box_loss != BoxLoss::mse) {
    sum.box_loss = sum.matched ? loss.iou_normalizer * sum.box_loss / sum.matched : 0;
    sum.class_loss *= loss.obj_normalizer;
    sum.objectness_loss *= loss.obj_normalizer;
  }
  sum.loss = sum.box_loss + sum.class_loss + sum.objectness_loss;
  // Darknet's GPU code hands on the slopes times delta_normalizer; the loss it prints is without.
  if (loss.delta_normalizer != 1)
    for (float& d : delta) d *= loss.delta_normalizer;
  return sum;
}

}  // namespace osprey
