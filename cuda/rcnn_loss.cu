#include "cuda/feedback.cuh"
#include "cuda/launch.h"
#include "cuda/rcnn.h"
#include "cuda/report.cuh"

namespace osprey::cuda {
namespace {

// One thread per place of the table.
__global__ void rcnn_targets_kernel(View<const float> table, TruthLists truths, RcnnRule rule,
                                    RoiTargets targets) {
  const int i = global_thread();
  if (i >= table.shape.rows()) return;
  const int image = i / table.shape.w;
  const RoiRow roi = roi_of_row(table, i);
  const int label = label_of_roi(rule, roi, truths, image);
  targets.labels[i] = label;
  const bool taught = label != RoiTargets::kNothing && label != rule.background();
  set_row(targets.truths, i, taught ? truths.boxes(image, 0, 0, roi.match) : Box{0, 0, 0, 0});
}

// One block for all places: it counts before it divides.
__global__ void rcnn_weights_kernel(int images, RcnnRule rule, RoiTargets targets) {
  int count = 0;
  const int places = targets.labels.size();
  for (int i = int(threadIdx.x); i < places; i += int(blockDim.x))
    count += targets.labels[i] != RoiTargets::kNothing;
  count = block_sum(count);
  const float mean = float(images) / float(max(count, 1));
  for (int i = int(threadIdx.x); i < places; i += int(blockDim.x)) {
    const int label = targets.labels[i];
    const bool counts = label != RoiTargets::kNothing;
    targets.class_weights[i] = counts ? rule.class_factor * mean : 0;
    const bool object = counts && label != rule.background();
    targets.box_weights[i] =
        object ? rule.box_factor * mean * rule.feedback.gain(box_of_row(targets.truths, i)) : 0;
  }
}

__device__ RoiCost cost_of_place(View<const float> deltas, View<const float> table, const RoiTargets& targets,
                                 const RcnnRule& rule, int i, int first) {
  return cost_of_roi(rule, deltas_at(&deltas[first]), roi_of_row(table, i).box,
                     box_of_row(targets.truths, i));
}

// One thread per place.
__global__ void rcnn_box_losses_kernel(View<const float> deltas, View<const float> table, RoiTargets targets,
                                       RcnnRule rule, RoiLosses losses) {
  const int i = global_thread();
  if (i >= losses.of_box.size()) return;
  RoiCost cost;
  if (targets.box_weights[i] != 0) {
    const int first = i * rule.deltas + rule.deltas_of(rule.class_of(targets.labels[i]));
    cost = cost_of_place(deltas, table, targets, rule, i, first);
  }
  losses.of_box[i] = cost.loss;
  losses.overlaps[i] = cost.overlap;
}

// One thread per place, which owns the row of deltas.
__global__ void rcnn_box_backward_kernel(View<const float> deltas, View<const float> table,
                                         RoiTargets targets, RcnnRule rule, View<float> ddeltas) {
  const int i = global_thread();
  if (i >= targets.box_weights.size() || targets.box_weights[i] == 0) return;
  const int first = i * rule.deltas + rule.deltas_of(rule.class_of(targets.labels[i]));
  const RoiCost cost = cost_of_place(deltas, table, targets, rule, i, first);
  const float weight = targets.box_weights[i];
  ddeltas[first] += weight * cost.slopes.x;
  ddeltas[first + 1] += weight * cost.slopes.y;
  ddeltas[first + 2] += weight * cost.slopes.w;
  ddeltas[first + 3] += weight * cost.slopes.h;
}

// One block for all places, whose sums are made in a fixed order, in double.
__global__ void rcnn_report_kernel(RoiTargets targets, RoiLosses losses, RcnnRule rule, View<float> y,
                                   LossReport* report) {
  LossReport sum;
  FeedbackSums fed;
  for (int i = int(threadIdx.x); i < y.size(); i += int(blockDim.x)) {
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
  move_share(rule.feedback, fed);
  sum.loss = sum.class_loss + sum.box_loss;
  sum = block_total(sum);
  if (threadIdx.x == 0) add(*report, sum);
}

constexpr Grid one_block(unsigned threads) { return {dim3(1), dim3(threads)}; }

}  // namespace

void rcnn_targets(Stream& s, View<const float> table, TruthLists truths, RcnnRule rule, RoiTargets targets) {
  launch<rcnn_targets_kernel>(s, one_thread_each(table.shape.rows()), table, truths, rule, targets);
}

void rcnn_weights(Stream& s, int images, RcnnRule rule, RoiTargets targets) {
  launch<rcnn_weights_kernel>(s, one_block(1024), images, rule, targets);
}

void rcnn_box_losses(Stream& s, View<const float> deltas, View<const float> table, RoiTargets targets,
                     RcnnRule rule, RoiLosses losses) {
  launch<rcnn_box_losses_kernel>(s, one_thread_each(losses.of_box.size()), deltas, table, targets, rule,
                                 losses);
}

void rcnn_box_backward(Stream& s, View<const float> deltas, View<const float> table, RoiTargets targets,
                       RcnnRule rule, View<float> ddeltas) {
  launch<rcnn_box_backward_kernel>(s, one_thread_each(targets.box_weights.size()), deltas, table, targets,
                                   rule, ddeltas);
}

void rcnn_report(Stream& s, RoiTargets targets, RoiLosses losses, RcnnRule rule, View<float> y,
                 LossReport* report) {
  launch<rcnn_report_kernel>(s, one_block(256), targets, losses, rule, y, report);
}

}  // namespace osprey::cuda
