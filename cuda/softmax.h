// The contract of [softmax]. The CPU side is in layers/softmax.cpp, the kernels in cuda/softmax.cu.
#pragma once

#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// Values of a group: `channels` side by side, `pixels` times, a row of c values apart.
struct SoftmaxGroups {
  int groups = 1, pixels = 1;  // groups: of the channels of a pixel
  float temperature = 1;

  HOST_DEVICE int channels(Shape s) const { return s.c / groups; }
  HOST_DEVICE int count(Shape s) const { return s.rows() / pixels * groups; }
  HOST_DEVICE int first(Shape s, int group) const {
    return group / groups * pixels * s.c + group % groups * channels(s);
  }
};

namespace cpu {
void softmax_forward(Stream&, View<const float> x, View<float> y, SoftmaxGroups);  // y may be x
// Adds to dx, or overwrites it if it is dy itself.
void softmax_backward(Stream&, View<const float> y, View<const float> dy, View<float> dx, SoftmaxGroups);
// Adds to the report -ln y wherever the target is not 0.
void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport*);
// dx += y - targets + dy, where dy may be empty, or dx itself.
void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx);
}  // namespace cpu

namespace cuda {
void softmax_forward(Stream&, Tensor x, Tensor y, SoftmaxGroups);
void softmax_backward(Stream&, Tensor y, Tensor dy, Tensor dx, SoftmaxGroups);
void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport*);
void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx);
}  // namespace cuda

}  // namespace osprey
