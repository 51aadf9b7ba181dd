// Which RoIs do worst, on the CPU.
#include "cuda/rcnn_ohem.h"

namespace osprey::cpu {

void gather_hard_rois(Stream&, View<const float> table, RoiTargets targets, RoiLosses losses, RcnnRule rule,
                      HardRois hard) {
  for (int i = 0; i < table.shape.rows(); ++i) {
    const int label = targets.labels[i];
    hard.boxes[i] = roi_of_row(table, i).box;
    hard.match[i] = kind_of(rule, label);
    hard.losses[i] = hardness(rule, label, losses.of_class[i], losses.of_box[i]);
  }
  for (int& count : hard.counts) count = table.shape.w;
}

void keep_chosen(Stream&, View<const float> weights, RoiTargets targets) {
  for (int i = 0; i < weights.size(); ++i)
    if (weights[i] == 0) targets.labels[i] = RoiTargets::kNothing;
}

}  // namespace osprey::cpu
