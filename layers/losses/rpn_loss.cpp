// The loss of a region proposal network, on the CPU.
#include "cuda/rpn_loss.h"

#include <algorithm>

namespace osprey::cpu {

void rpn_loss(Stream&, const RpnMaps& maps, const RpnTargets& targets, const RpnLossRule& rule,
              View<float> slopes, LossReport* report) {
  const int images = targets.sampled.shape.n, total = targets.total();
  LossReport sum;
  FeedbackSums fed;
  for (int n = 0; n < images; ++n)
    for (int i = 0; i < targets.counts[n]; ++i) {
      const float factor = float(images) / float(total);
      const RpnCost cost = rpn_cost(maps, targets, rule, n, targets.sampled(n, 0, 0, i), factor);
      add(sum, cost.report);
      add(fed, cost.fed);
      std::copy_n(cost.slopes, kRpnSlopes, &slopes(n, 0, i, 0));
    }
  rule.feedback.move(fed);
  add(*report, sum);
}

void rpn_loss_backward(Stream&, const RpnMaps& gradients, View<const int> sampled, View<const int> counts,
                       View<const float> slopes) {
  for (int n = 0; n < sampled.shape.n; ++n)
    for (int i = 0; i < counts[n]; ++i) {
      const int anchor = sampled(n, 0, 0, i), level = gradients.level_of(anchor);
      const int row = anchor - gradients.first_row(level);
      if (gradients.objectness[level]) gradients.logit(n, level, row) += slopes(n, 0, i, 0);
      for (int d = 0; gradients.deltas[level] && d < 4; ++d)
        gradients.delta(n, level, row, d) += slopes(n, 0, i, 1 + d);
    }
}

}  // namespace osprey::cpu
