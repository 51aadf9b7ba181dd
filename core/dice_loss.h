// How little a mask of probabilities and one of targets cover each other: a loss of masks, once for both
// devices. No head has masks yet.
#pragma once

#include <cmath>

#include "core/device.h"

namespace osprey {

// 1 - (2 sum p t + eps) / (sum p + sum t + eps) of a mask's probabilities p, the logistic of its logits, and
// its targets t of 0 to 1: how little the two cover each other. "V-Net", Milletari et al., 3DV 2016, has
// squares below; this is the form of "Segment Anything", Kirillov et al., ICCV 2023, with eps 1.
struct DiceSums {
  double product = 0, total = 0;  // of p t and of p + t

  HOST_DEVICE static float probability(float x) { return 1 / (1 + expf(-x)); }
  HOST_DEVICE void add(float x, float target) {
    const float p = probability(x);
    product += double(p) * target;
    total += double(p) + target;
  }
  HOST_DEVICE float loss(float eps) const { return float(1 - (2 * product + eps) / (total + eps)); }
  // Along the logit x.
  HOST_DEVICE float slope(float x, float target, float eps) const {
    const float p = probability(x);
    const double whole = total + eps, of_p = (2 * product + eps - 2 * target * whole) / (whole * whole);
    return float(of_p) * p * (1 - p);
  }
};

}  // namespace osprey
