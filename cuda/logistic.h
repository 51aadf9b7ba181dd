// The contract of [logistic]. The CPU side is in layers/logistic.cpp, the kernels in cuda/logistic.cu. Losses
// are of floats.
#pragma once

#include "core/activations.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

// -t ln y - (1 - t) ln (1 - y) for y = logistic(x), without the logarithm of a y that was rounded to 0 or 1.
HOST_DEVICE inline float logistic_cross_entropy(float x, float target) { return softplus(x) - target * x; }

namespace cpu {
// Adds the loss to the report.
void logistic_cross_entropy(Stream&, View<const float> x, View<const float> targets, LossReport*);
// dx += y - target + dy y (1 - y), where dy may be empty.
void logistic_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                       View<float> dx);
}  // namespace cpu

namespace cuda {
void logistic_cross_entropy(Stream&, View<const float> x, View<const float> targets, LossReport*);
void logistic_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                       View<float> dx);
}  // namespace cuda

}  // namespace osprey
