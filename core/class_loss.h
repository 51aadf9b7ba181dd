// What Darknet's heads share in teaching classes.
#pragma once

#include <cmath>

#include "core/device.h"

namespace osprey {

// Darknet's focal loss multiplies the plain slopes of all classes by this, where p is the probability of the
// true class: alpha = 0.5, gamma = 2. "Focal Loss for Dense Object Detection", Lin et al., ICCV 2017,
// appendix B.
HOST_DEVICE inline float focal_factor(float p) {
  const float pt = p + 1e-15f;  // keeps the logarithm finite
  return -0.5f * (1 - pt) * (2 * pt * logf(pt) + pt - 1);
}

}  // namespace osprey
