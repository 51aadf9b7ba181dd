// The dice loss on the CPU.

#include "cuda/dice_loss.h"

#include <algorithm>

namespace osprey::cpu {
namespace {

DiceSums dice_sums(View<const float> logits, View<const float> targets, int mask, int count) {
  DiceSums sums;
  for (int i = mask * count; i < (mask + 1) * count; ++i) sums.add(logits[i], targets[i]);
  return sums;
}

}  // namespace

void dice_loss(Stream&, View<const float> logits, View<const float> targets, float eps, View<float> losses) {
  const int count = logits.size() / std::max(losses.size(), 1);
  for (int mask = 0; mask < losses.size(); ++mask)
    losses[mask] = dice_sums(logits, targets, mask, count).loss(eps);
}

void dice_loss_backward(Stream&, View<const float> logits, View<const float> targets, float eps,
                        View<const float> dy, View<float> dlogits) {
  const int count = logits.size() / std::max(dy.size(), 1);
  for (int mask = 0; mask < dy.size(); ++mask) {
    if (dy[mask] == 0) continue;
    const DiceSums sums = dice_sums(logits, targets, mask, count);
    for (int i = mask * count; i < (mask + 1) * count; ++i)
      dlogits[i] += dy[mask] * sums.slope(logits[i], targets[i], eps);
  }
}

}  // namespace osprey::cpu
