// The dice loss over masks (core/dice_loss.h has the formula). The CPU side is in
// layers/losses/dice_loss.cpp, the kernels in cuda/dice_loss.cu.
#pragma once

#include "core/dice_loss.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

namespace cpu {
// Of each mask, an item of logits [N,H,W,C]; targets [N,H,W,C], losses and dy [N,1,1,1]. Backward adds to
// dlogits, and reads nothing of a mask whose dy is 0.
void dice_loss(Stream&, View<const float> logits, View<const float> targets, float eps, View<float> losses);
void dice_loss_backward(Stream&, View<const float> logits, View<const float> targets, float eps,
                        View<const float> dy, View<float> dlogits);
}  // namespace cpu

namespace cuda {
void dice_loss(Stream&, View<const float> logits, View<const float> targets, float eps, View<float> losses);
void dice_loss_backward(Stream&, View<const float> logits, View<const float> targets, float eps,
                        View<const float> dy, View<float> dlogits);
}  // namespace cuda

}  // namespace osprey
