// How AlexeyAB's Darknet teaches a [region] layer, image by image:
//
//   1. every row is background: its objectness should be 0, unless its box overlaps a truth by more than
//      `thresh`; early in training it also learns to be its anchor, in the middle of its cell;
//   2. each truth goes to one anchor of the cell of its centre, the one that fits its shape best. With a tree
//   of
//      classes it teaches its class and each of its ancestors against their siblings.
//
// The formulas are in cuda/region.h.
#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"
#include "cuda/region.h"

namespace osprey::cpu {
namespace {

using namespace region_rules;

class RegionImage {
 public:
  RegionImage(const RegionGrid& grid, const RegionLoss& loss, View<const float> y, const Truths& truths,
              bool warm_up, View<float> delta, int image)
      : grid_(grid), loss_(loss), y_(y), truths_(truths), warm_up_(warm_up), delta_(delta), image_(image) {}

  LossReport run() {
    const int count = truths_.counts[image_];
    for (int row = 0; row < grid_.rows_of_image(); ++row) background(row, count);
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (grid_.read(truths_, image_, t, truth))
        match(truth);
      else
        warn(
            "[region] a truth of class {}, {} x {}, is left out: there are {} classes, sizes must be "
            "positive, and boxes in the image",
            truth.class_id, truth.box.w, truth.box.h, grid_.classes);
    }
    sum_up();
    return report_;
  }

 private:
  const float* prediction(int row) const {
    return &y_[(image_ * grid_.rows_of_image() + row) * grid_.row_length()];
  }
  float* slopes(int row) const {
    return &delta_[(image_ * grid_.rows_of_image() + row) * grid_.row_length()];
  }

  void background(int row, int count) {
    const float* p = prediction(row);
    float* d = slopes(row);
    std::fill(d, d + grid_.row_length(), 0.0f);
    const RowPlace at = grid_.place(row);
    const Box predicted = corners(grid_.box(p, at));
    float best = 0;
    int best_class = -1;
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (!grid_.read(truths_, image_, t, truth)) continue;
      const float overlap = iou(predicted, corners(truth.box));
      if (overlap > best) best = overlap, best_class = truth.class_id;
    }
    d[kObjectness] = background_slope(loss_, p[kObjectness], best);
    if (forgiven(loss_, best) && loss_.classfix > 0)
      teach_class(p, d, best_class, overlap_class_scale(loss_, p[kObjectness], best));
    if (warm_up_) teach_box(grid_.own_box(at), row, kWarmUpScale);
  }

  void match(const Truth& truth) {
    const int first = grid_.first_row(truth.box);
    const Box shape = corners({0, 0, truth.box.w, truth.box.h});
    float best = 0;
    int best_row = first;
    for (int row = first; row < first + grid_.anchors.size(); ++row) {
      const float overlap = shape_overlap(grid_, loss_, shape, prediction(row), grid_.place(row));
      if (overlap > best) best = overlap, best_row = row;
    }
    const float* p = prediction(best_row);
    float* d = slopes(best_row);
    const float overlap = iou(corners(grid_.box(p, grid_.place(best_row))), corners(truth.box));
    report_.iou += overlap;
    ++report_.matched;
    teach_box(truth.box, best_row, loss_.coord_scale);
    d[kObjectness] = matched_slope(loss_, p[kObjectness], overlap);
    teach_class(p, d, truth.class_id, loss_.class_scale);
  }

  void teach_box(CentreBox truth, int row, float scale) {
    const CentreBox slope = box_slopes(grid_, truth, prediction(row), grid_.place(row), scale);
    float* d = slopes(row);
    d[kX] = slope.x;
    d[kY] = slope.y;
    d[kW] = slope.w;
    d[kH] = slope.h;
  }

  void teach_class(const float* p, float* d, int class_id, float scale) const {
    const float* probability = p + kClasses;
    float* slope = d + kClasses;
    if (!grid_.tree) {
      const float factor = class_factor(loss_, scale, probability[class_id]);
      for (int c = 0; c < grid_.classes; ++c) slope[c] = factor * (float(c == class_id) - probability[c]);
      return;
    }
    for (int own = class_id; own >= 0; own = grid_.tree.parents[own]) {  // each among its siblings
      const int group = grid_.tree.group_of[own];
      for (int c = grid_.tree.groups[group]; c < grid_.tree.groups[group + 1]; ++c)
        slope[c] = scale * (float(c == own) - probability[c]);
    }
  }

  void sum_up() {
    for (int row = 0; row < grid_.rows_of_image(); ++row) {
      const float* d = slopes(row);
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

void region_loss(Stream&, const RegionGrid& grid, const RegionLoss& loss, View<const float> y,
                 const Truths& truths, const Step* step, View<float> delta, const LossWork& work,
                 LossReport* report) {
  const View<LossReport> images = work.reports();
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n)
      images[int(n)] = RegionImage(grid, loss, y, truths, warms_up(*step), delta, int(n)).run();
  });
  LossReport sum;  // in the order of the images: equal for any number of threads
  for (int n = 0; n < y.shape.n; ++n) add(sum, images[n]);
  finish({}, sum);
  add(*report, sum);
}

}  // namespace osprey::cpu
