#include "cuda/rcnn_ohem.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per place; the first of an image writes its count, too.
__global__ void gather_hard_rois_kernel(View<const float> table, RoiTargets targets, RoiLosses losses,
                                        RcnnRule rule, HardRois hard) {
  const int i = global_thread(), places = table.shape.w;
  if (i >= table.shape.rows()) return;
  const int label = targets.labels[i];
  hard.boxes[i] = roi_of_row(table, i).box;
  hard.match[i] = kind_of(rule, label);
  hard.losses[i] = hardness(rule, label, losses.of_class[i], losses.of_box[i]);
  if (i % places == 0) hard.counts[i / places] = places;
}

// One thread per place.
__global__ void keep_chosen_kernel(View<const float> weights, RoiTargets targets) {
  const int i = global_thread();
  if (i >= weights.size()) return;
  if (weights[i] == 0) targets.labels[i] = RoiTargets::kNothing;
}

}  // namespace

void gather_hard_rois(Stream& s, View<const float> table, RoiTargets targets, RoiLosses losses, RcnnRule rule,
                      HardRois hard) {
  launch<gather_hard_rois_kernel>(s, one_thread_each(table.shape.rows()), table, targets, losses, rule, hard);
}

void keep_chosen(Stream& s, View<const float> weights, RoiTargets targets) {
  launch<keep_chosen_kernel>(s, one_thread_each(weights.size()), weights, targets);
}

}  // namespace osprey::cuda
