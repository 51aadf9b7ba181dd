// What the last stage of a two-stage detector teaches, on the CPU.
#include <algorithm>

#include "cuda/rcnn.h"

namespace osprey::cpu {
namespace {

RoiCost cost_of_place(View<const float> deltas, View<const float> table, const RoiTargets& targets,
                      const RcnnRule& rule, int place, int first) {
  return cost_of_roi(rule, deltas_at(&deltas[first]), roi_of_row(table, place).box,
                     box_of_row(targets.truths, place));
}

// Where the deltas that a place is taught begin.
int taught_deltas(const RoiTargets& targets, const RcnnRule& rule, int place) {
  return place * rule.deltas + rule.deltas_of(rule.class_of(targets.labels[place]));
}

}  // namespace

void rcnn_targets(Stream&, View<const float> table, TruthLists truths, RcnnRule rule, RoiTargets targets) {
  for (int place = 0; place < table.shape.rows(); ++place) {
    const int image = place / table.shape.w;
    const RoiRow roi = roi_of_row(table, place);
    const int label = label_of_roi(rule, roi, truths, image);
    targets.labels[place] = label;
    const bool taught = label != RoiTargets::kNothing && label != rule.background();
    set_row(targets.truths, place, taught ? truths.boxes(image, 0, 0, roi.match) : Box());
  }
}

void rcnn_weights(Stream&, int images, RcnnRule rule, RoiTargets targets) {
  const View<int> labels = targets.labels;
  const auto nothing = std::count(labels.begin(), labels.end(), int(RoiTargets::kNothing));
  const float mean = float(images) / float(std::max(labels.size() - int(nothing), 1));
  for (int i = 0; i < labels.size(); ++i) {
    const bool counts = labels[i] != RoiTargets::kNothing, object = counts && labels[i] != rule.background();
    targets.class_weights[i] = counts ? rule.class_factor * mean : 0;
    targets.box_weights[i] =
        object ? rule.box_factor * mean * rule.feedback.gain(box_of_row(targets.truths, i)) : 0;
  }
}

void rcnn_box_losses(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets,
                     RcnnRule rule, RoiLosses losses) {
  for (int i = 0; i < losses.of_box.size(); ++i) {
    RoiCost cost;
    if (targets.box_weights[i] != 0)
      cost = cost_of_place(deltas, table, targets, rule, i, taught_deltas(targets, rule, i));
    losses.of_box[i] = cost.loss;
    losses.overlaps[i] = cost.overlap;
  }
}

void rcnn_box_backward(Stream&, View<const float> deltas, View<const float> table, RoiTargets targets,
                       RcnnRule rule, View<float> ddeltas) {
  for (int i = 0; i < targets.box_weights.size(); ++i) {
    const float weight = targets.box_weights[i];
    if (weight == 0) continue;
    const int first = taught_deltas(targets, rule, i);
    const Deltas slopes = cost_of_place(deltas, table, targets, rule, i, first).slopes;
    ddeltas[first] += weight * slopes.x;
    ddeltas[first + 1] += weight * slopes.y;
    ddeltas[first + 2] += weight * slopes.w;
    ddeltas[first + 3] += weight * slopes.h;
  }
}

void rcnn_report(Stream&, RoiTargets targets, RoiLosses losses, RcnnRule rule, View<float> y,
                 LossReport* report) {
  LossReport sum;
  FeedbackSums fed;
  for (int i = 0; i < y.size(); ++i) {
    const double of_class = double(targets.class_weights[i]) * losses.of_class[i];
    const double of_box = double(targets.box_weights[i]) * losses.of_box[i];
    y[i] = float(of_class + of_box);
    sum.class_loss += of_class;
    sum.box_loss += of_box;
    if (targets.box_weights[i] == 0) continue;
    sum.iou += losses.overlaps[i];
    ++sum.matched;
    const Box truth = box_of_row(targets.truths, i);
    rule.feedback.tell(truth, of_box / rule.feedback.gain(truth), fed);
  }
  rule.feedback.move(fed);
  sum.loss = sum.class_loss + sum.box_loss;
  add(*report, sum);
}

}  // namespace osprey::cpu
