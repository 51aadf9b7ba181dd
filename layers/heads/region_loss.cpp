// How AlexeyAB's Darknet teaches a [region] layer, image by image:
//
//   1. every row is background: its objectness should be 0, unless its box overlaps a truth by more than
//   `thresh`;
//      early in training it also learns to be its anchor, in the middle of its cell;
//   2. each truth goes to one anchor of the cell of its centre, the one that fits its shape best.
//
// Slopes of x, y and objectness are those of squares through the logistic; w, h and the classes have none of
// it.
#include "layers/heads/region_loss.h"

#include <algorithm>
#include <cmath>

#include "core/activations.h"
#include "core/log.h"
#include "core/parallel.h"
#include "layers/losses/class_loss.h"

namespace osprey {

CentreBox RegionGrid::box(const float* row, Anchor anchor, int i, int j) const {
  return {(float(i) + logistic(row[kX])) / float(columns), (float(j) + logistic(row[kY])) / float(rows),
          float(std::exp(double(row[kW])) * anchor.w / columns),
          float(std::exp(double(row[kH])) * anchor.h / rows)};
}

namespace {

constexpr int64_t kWarmUpImages = 12800;
constexpr float kWarmUpScale = 0.01f;

// The derivative of the logistic where it has the value p.
float logistic_slope(float p) { return p * (1 - p); }

struct Truth {
  CentreBox box;
  int class_id;
};

class RegionImage {
 public:
  RegionImage(const RegionGrid& grid, const RegionLoss& loss, View<const float> y, const Truths& truths,
              bool warm_up, View<float> delta, int image)
      : grid_(grid), loss_(loss), y_(y), truths_(truths), warm_up_(warm_up), delta_(delta), image_(image) {}

  LossReport run() {
    const int count = truths_.counts[image_];
    for (int j = 0; j < grid_.rows; ++j)
      for (int i = 0; i < grid_.columns; ++i)
        for (int a = 0; a < int(grid_.anchors.size()); ++a) background(j, i, a, count);
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (read(t, truth))
        match(truth);
      else
        warn(
            "[region] a truth of class {}, {} x {}, is left out: there are {} classes, and sizes must be "
            "positive",
            truth.class_id, truth.box.w, truth.box.h, grid_.classes);
    }
    sum_up();
    return report_;
  }

 private:
  int index(int j, int i, int a) const { return y_.shape.index(image_, j, i, a * grid_.row_length()); }

  // False for a truth that cannot be learnt: a class that the layer does not have, or no box at all.
  bool read(int t, Truth& truth) const {
    const float* values = &truths_.boxes(image_, 0, t, 0);
    truth = {{values[0], values[1], values[2], values[3]}, int(values[4])};
    return truth.class_id >= 0 && truth.class_id < grid_.classes && truth.box.w > 0 && truth.box.h > 0;
  }

  void background(int j, int i, int a, int count) {
    const int at = index(j, i, a);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    std::fill(d, d + grid_.row_length(), 0.0f);
    const Box predicted = corners(grid_.box(p, grid_.anchors[a], i, j));
    float best = 0;
    int best_class = -1;
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (!read(t, truth)) continue;
      const float overlap = iou(predicted, corners(truth.box));
      if (overlap > best) best = overlap, best_class = truth.class_id;
    }
    const float wanted = loss_.classfix == -1 ? best : 0;
    d[kObjectness] = loss_.noobject_scale * (wanted - p[kObjectness]) * logistic_slope(p[kObjectness]);
    if (loss_.classfix != -1 && best > loss_.thresh) {
      d[kObjectness] = 0;
      if (loss_.classfix > 0)
        teach_class(p, d, best_class, loss_.class_scale * (loss_.classfix == 2 ? p[kObjectness] : 1));
    }
    if (warm_up_) {
      CentreBox own = grid_.shape(grid_.anchors[a]);
      own.x = (float(i) + 0.5f) / float(grid_.columns);
      own.y = (float(j) + 0.5f) / float(grid_.rows);
      teach_box(own, j, i, a, kWarmUpScale);
    }
  }

  void match(const Truth& truth) {
    // A centre on the right or bottom edge, 1, is in the last cell.
    const int i = std::clamp(int(truth.box.x * float(grid_.columns)), 0, grid_.columns - 1);
    const int j = std::clamp(int(truth.box.y * float(grid_.rows)), 0, grid_.rows - 1);
    const Box shape = corners({0, 0, truth.box.w, truth.box.h});
    float best = 0;
    int best_anchor = 0;
    for (int a = 0; a < int(grid_.anchors.size()); ++a) {
      CentreBox own = loss_.bias_match ? grid_.shape(grid_.anchors[a])
                                       : grid_.box(y_.data + index(j, i, a), grid_.anchors[a], i, j);
      own.x = own.y = 0;
      const float overlap = iou(corners(own), shape);
      if (overlap > best) best = overlap, best_anchor = a;
    }
    const int at = index(j, i, best_anchor);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    const float overlap = iou(corners(grid_.box(p, grid_.anchors[best_anchor], i, j)), corners(truth.box));
    report_.iou += overlap;
    ++report_.matched;
    teach_box(truth.box, j, i, best_anchor, loss_.coord_scale);
    const float wanted = loss_.rescore ? overlap : 1;
    d[kObjectness] = loss_.object_scale * (wanted - p[kObjectness]) * logistic_slope(p[kObjectness]);
    teach_class(p, d, truth.class_id, loss_.class_scale);
  }

  void teach_box(CentreBox t, int j, int i, int a, float scale) {
    const int at = index(j, i, a);
    const float* p = y_.data + at;
    float* d = delta_.data + at;
    const Anchor anchor = grid_.anchors[a];
    const float x = logistic(p[kX]), y = logistic(p[kY]);
    d[kX] = scale * (t.x * float(grid_.columns) - float(i) - x) * logistic_slope(x);
    d[kY] = scale * (t.y * float(grid_.rows) - float(j) - y) * logistic_slope(y);
    d[kW] = scale * (std::log(t.w * float(grid_.columns) / anchor.w) - p[kW]);
    d[kH] = scale * (std::log(t.h * float(grid_.rows) / anchor.h) - p[kH]);
  }

  void teach_class(const float* p, float* d, int class_id, float scale) const {
    const float* probability = p + kClasses;
    if (loss_.focal_loss) scale *= focal_factor(probability[class_id]);
    for (int c = 0; c < grid_.classes; ++c) d[kClasses + c] = scale * (float(c == class_id) - probability[c]);
  }

  void sum_up() {
    const int first = delta_.shape.index(image_, 0, 0, 0), last = delta_.shape.index(image_ + 1, 0, 0, 0);
    for (int at = first; at < last; at += grid_.row_length()) {
      const float* d = delta_.data + at;
      for (int e = 0; e < 4; ++e) report_.box_loss += double(d[e]) * d[e];
      report_.objectness_loss += double(d[kObjectness]) * d[kObjectness];
      for (int c = kClasses; c < grid_.row_length(); ++c) report_.class_loss += double(d[c]) * d[c];
    }
  }

  const RegionGrid& grid_;
  const RegionLoss& loss_;
  View<const float> y_;
  const Truths& truths_;
  bool warm_up_;
  View<float> delta_;
  int image_;
  LossReport report_;
};

}  // namespace

LossReport region_loss(const RegionGrid& grid, const RegionLoss& loss, View<const float> y,
                       const Truths& truths, int64_t seen, View<float> delta,
                       std::vector<LossReport>& images) {
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n)
      images[n] = RegionImage(grid, loss, y, truths, seen < kWarmUpImages, delta, int(n)).run();
  });
  LossReport sum;
  for (const LossReport& image : images) {
    sum.iou += image.iou;
    sum.matched += image.matched;
    sum.box_loss += image.box_loss;
    sum.class_loss += image.class_loss;
    sum.objectness_loss += image.objectness_loss;
  }
  sum.loss = sum.box_loss + sum.class_loss + sum.objectness_loss;
  return sum;
}

}  // namespace osprey
