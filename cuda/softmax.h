// The contract of [softmax]. The CPU side is in layers/softmax.cpp, the kernels in cuda/softmax.cu.
#pragma once

#include "core/class_tree.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// Values of a group: `channels` side by side, `pixels` times, a row of c values apart.
struct SoftmaxGroups {
  int groups = 1, pixels = 1;  // groups: of the channels of a pixel
  float temperature = 1;
  View<const int> bounds = {};  // first channels of the groups, and the end of the last; empty: equal parts

  HOST_DEVICE int first_channel(Shape s, int of_pixel) const {
    return bounds ? bounds[of_pixel] : of_pixel * (s.c / groups);
  }
  HOST_DEVICE int count(Shape s) const { return s.rows() / pixels * groups; }
  // Of the group with this number among all: its channels, and where its first value lies.
  HOST_DEVICE int channels(Shape s, int group) const {
    return first_channel(s, group % groups + 1) - first_channel(s, group % groups);
  }
  HOST_DEVICE int first(Shape s, int group) const {
    return group / groups * pixels * s.c + first_channel(s, group % groups);
  }
};

namespace cpu {
void softmax_forward(Stream&, View<const float> x, View<float> y, SoftmaxGroups);  // y may be x
// Adds to dx, or overwrites it if it is dy itself.
void softmax_backward(Stream&, View<const float> y, View<const float> dy, View<float> dx, SoftmaxGroups);
// Makes targets [N,1,1,classes] those of a tree, in place: the ancestors of a true class are true, too, and
// groups without a true class are masked.
void tree_targets(Stream&, const ClassTree&, View<float> targets);
// Adds to the report -ln y wherever the target is not 0 or masked.
void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport*);
// dx += y - targets (but where they are masked) + dy, where dy may be empty, or dx itself.
void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx);
}  // namespace cpu

namespace cuda {
void softmax_forward(Stream&, Tensor x, Tensor y, SoftmaxGroups);
void softmax_backward(Stream&, Tensor y, Tensor dy, Tensor dx, SoftmaxGroups);
void tree_targets(Stream&, const ClassTree&, View<float> targets);
void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport*);
void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx);
}  // namespace cuda

}  // namespace osprey
