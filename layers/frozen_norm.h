// Frozen batch norm as what it is, a factor and a shift of each channel, so that a convolution can apply them
// to its own sums:
//
//   factor = scale / sqrt(rolling_variance + epsilon),   shift = bias - factor * rolling_mean
//   y = activation(factor * z + shift)
//
// Its backward needs no z where the activation's slope can be told from y (slope_from_output).
#pragma once

#include "cuda/batchnorm.h"

namespace osprey::cpu {

// factors, shifts: {1,1,1,c}
void frozen_factors(const BatchNorm&, View<float> factors, View<float> shifts);

// dy = factor * slope * dy, the gradient of z. y, dy: {n,h,w,c}
void frozen_backward(View<const float> y, View<const float> factors, View<float> dy, Activation);

}  // namespace osprey::cpu
