// How AlexeyAB's Darknet teaches a [yolo] or [Gaussian_yolo] layer, image by image:
//
//   1. every row is background: its objectness should be 0, unless its box overlaps a truth by more than
//      ignore_thresh and it is not blind to classes;
//   2. each truth goes to the anchor that fits its shape best, if that is one of this layer's, at the cell of
//      the truth's centre; with iou_thresh < 1 also to the other anchors that fit well;
//   3. with iou_thresh < 1, and in [Gaussian_yolo] always, a box that several classes pulled at takes the
//   mean of the pulls.
//
// The formulas are in cuda/yolo.h.
#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"
#include "cuda/yolo.h"

namespace osprey::cpu {
namespace {

using namespace yolo_rules;

class YoloImage {
 public:
  YoloImage(const YoloGrid& grid, const YoloLoss& loss, View<const float> y, const Truths& truths,
            View<float> delta, int image)
      : grid_(grid), loss_(loss), y_(y), truths_(truths), delta_(delta), image_(image) {}

  LossReport run() {
    const int count = truths_.counts[image_];
    for (int row = 0; row < grid_.rows_of_image(); ++row) background(row, count);
    Truth truth;
    for (int t = 0; t < count; ++t) {
      if (grid_.read(truths_, image_, t, truth))
        match(truth);
      else
        warn(
            "[{}] a truth of class {}, {} x {}, is left out: there are {} classes, sizes must be "
            "positive, and boxes in the image",
            grid_.gaussian ? "Gaussian_yolo" : "yolo", truth.class_id, truth.box.w, truth.box.h,
            grid_.classes);
    }
    if (averages_boxes(grid_, loss_)) average_boxes();
    sum_up();
    return report_;
  }
  const FeedbackSums& fed() const { return fed_; }

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
    const Box predicted = corners(grid_.box(p, grid_.place(row)));
    float best = 0;
    Truth truth, best_truth;
    for (int t = 0; t < count; ++t) {
      if (!grid_.read(truths_, image_, t, truth)) continue;
      const float overlap = likeness(grid_, loss_, predicted, corners(truth.box));
      if (overlap > best) best = overlap, best_truth = truth;
    }
    const bool forgiven =
        best > loss_.ignore_thresh && std::any_of(p + classes_, p + grid_.row_length(), is_seen);
    d[objectness_] = background_slope(loss_, p[objectness_], best, forgiven);
    if (best > loss_.truth_thresh) teach_overlap(best_truth, best, row);
  }

  // A box that overlaps a truth by more than truth_thresh learns it too. Darknet does not count it as
  // matched.
  void teach_overlap(const Truth& truth, float best, int row) {
    const float* p = prediction(row);
    float* d = slopes(row);
    const int true_class = classes_ + truth.class_id;
    const float target = target_of_overlap(loss_, best);
    d[objectness_] = loss_.obj_normalizer * (target - p[objectness_]);
    teach_class(p, d, truth.class_id);
    if (loss_.objectness_smooth) d[true_class] = loss_.multiplier(truth.class_id) * (target - p[true_class]);
    teach_box(truth, row);
  }

  void match(const Truth& truth) {
    const int first = grid_.first_row(truth.box);
    const Box shape = corners({0, 0, truth.box.w, truth.box.h});
    const int best = best_anchor(grid_, loss_, shape);
    if (const int k = grid_.find(best); k >= 0) positive(truth, first + k);
    if (loss_.iou_thresh >= 1) return;
    for (int a = 0; a < grid_.anchors.size(); ++a) {  // in the order of the anchors, as Darknet does
      const int k = grid_.find(a);
      if (a != best && k >= 0 && overlap(loss_.iou_thresh_kind, grid_.shape(a), shape) > loss_.iou_thresh)
        positive(truth, first + k);
    }
  }

  void positive(const Truth& truth, int row) {
    const float* p = prediction(row);
    float* d = slopes(row);
    const Fit found = fit(grid_, loss_, truth, p, grid_.place(row));
    report_.iou += found.overlap;
    report_.box_loss += found.misfit;
    ++report_.matched;
    loss_.feedback.tell(grid_.in_pixels(corners(truth.box)),
                        location_loss(grid_, loss_, truth, p, grid_.place(row), found.misfit), fed_);
    teach_box(truth, row);
    if (!loss_.objectness_smooth || d[objectness_] == 0)
      d[objectness_] = matched_objectness_slope(loss_, truth, p[objectness_]);
    teach_class(p, d, truth.class_id);
  }

  void teach_box(const Truth& truth, int row) {
    const BoxSlopes slope = box_slopes(grid_, loss_, truth, prediction(row), grid_.place(row));
    float* d = slopes(row);
    for (int e = 0; e < objectness_; ++e) d[e] += slope.of[e];
  }

  void teach_class(const float* p, float* d, int class_id) const {
    const float* probability = p + classes_;
    float* slope = d + classes_;
    if (slope[telling_class(grid_, class_id)] != 0) {
      slope[class_id] = further_class_slope(loss_, probability[class_id], class_id);
      return;
    }
    const float factor = class_factor(loss_, probability[class_id]);
    for (int c = 0; c < grid_.classes; ++c)
      slope[c] = class_slope(loss_, probability[c], c == class_id, class_id, factor);
  }

  void average_boxes() {
    for (int row = 0; row < grid_.rows_of_image(); ++row) {
      float* d = slopes(row);
      if (d[objectness_] == 0) continue;
      const auto pulls =
          std::count_if(d + classes_, d + grid_.row_length(), [](float slope) { return slope > 0; });
      if (pulls > 0)
        for (int e = 0; e < objectness_; ++e) d[e] /= float(pulls);
    }
  }

  void sum_up() {
    double box = 0;
    for (int row = 0; row < grid_.rows_of_image(); ++row) {
      const float* d = slopes(row);
      for (int e = 0; e < objectness_; ++e) box += double(d[e]) * d[e];
      report_.objectness_loss += double(d[objectness_]) * d[objectness_];
      for (int c = classes_; c < grid_.row_length(); ++c) report_.class_loss += double(d[c]) * d[c];
    }
    if (loss_.box_loss == BoxLoss::mse) report_.box_loss = box;
  }

  const YoloGrid& grid_;
  const YoloLoss& loss_;
  View<const float> y_;
  const Truths& truths_;
  View<float> delta_;
  int image_;
  const int objectness_ = grid_.entry(kObjectness), classes_ = grid_.entry(kClasses);  // in a row
  LossReport report_;
  FeedbackSums fed_;
};

}  // namespace

void yolo_loss(Stream&, const YoloGrid& grid, const YoloLoss& loss, View<const float> y, const Truths& truths,
               View<float> delta, const LossWork& work, LossReport* report) {
  const View<LossReport> images = work.reports();
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      YoloImage image(grid, loss, y, truths, delta, int(n));
      images[int(n)] = image.run();
      if (loss.feedback.on) loss.feedback_of_images[int(n)] = image.fed();
    }
  });
  LossReport sum;  // in the order of the images: equal for any number of threads
  for (int n = 0; n < y.shape.n; ++n) add(sum, images[n]);
  if (loss.feedback.on) {
    FeedbackSums fed;
    for (const FeedbackSums& of_image : loss.feedback_of_images) add(fed, of_image);
    loss.feedback.move(fed);
  }
  finish(loss.report_rule(), sum);
  add(*report, sum);
  // Darknet's GPU code hands on the slopes times delta_normalizer; the loss it prints is without.
  if (loss.delta_normalizer != 1)
    for (float& d : delta) d *= loss.delta_normalizer;
}

}  // namespace osprey::cpu
