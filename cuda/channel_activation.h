// The activations that look at all channels of a pixel (AlexeyAB's normalize_channels...). The CPU side is in
// layers/channel_activation.cpp, the kernels in cuda/channel_activation.cu; cuda/activation.h calls these.
//
//   y_c = p_c / (0.0001 + sum of p over the channels)
//   normalize_channels: p = max(x, 0)     ..._softmax: p = e^x     ..._softmax_maxval: p = e^(x - max of x)
//
// The gradient is the derivative, with m = sum of dy y:  dx_c = p'_c (dy_c - m) / sum, and where the largest
// x is taken away, that one also loses 0.0001 m / sum. AlexeyAB's is an approximation.
#pragma once

#include <cmath>

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

constexpr float kChannelEpsilon = 1e-4f;

HOST_DEVICE inline float channel_part(Activation a, float x, float largest) {
  return a == Activation::normalize_channels ? (x > 0 ? x : 0.0f) : expf(x - largest);
}
HOST_DEVICE inline float channel_part_slope(Activation a, float x, float part) {
  return a == Activation::normalize_channels ? (x > 0 ? 1.0f : 0.0f) : part;
}

namespace cpu {
// The arguments are those of activation_forward and activation_backward.
void channel_activation_forward(Stream&, View<const float> x, View<float> y, Activation);
void channel_activation_backward(Stream&, View<const float> x, View<const float> dy, View<float> dx,
                                 Activation);
}  // namespace cpu

namespace cuda {
void channel_activation_forward(Stream&, Tensor x, Tensor y, Activation);
void channel_activation_backward(Stream&, Tensor x, Tensor dy, Tensor dx, Activation);
}  // namespace cuda

}  // namespace osprey
