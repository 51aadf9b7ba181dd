// Losses over tensors. The CPU side is in layers/losses/losses.cpp, the kernels in cuda/losses.cu.
//
// A loss writes what each value or row costs. What it counts is the business of weights: sampled, ignored,
// over the number of positives. The whole loss is weighted_sum(losses, weights), and its gradient is the
// backward with the weights as dy. Where dy is 0 nothing is read but the dy: such rows may hold anything.
#pragma once

#include "core/box_rows.h"
#include "core/losses.h"
#include "core/stream.h"

namespace osprey {

// Which rows cross entropy counts, and how much.
struct RowClasses {
  int ignore = -1;                  // the label of rows that do not count; any that names no class is as good
  View<const float> class_weights;  // [1,1,1,C], or empty for 1

  HOST_DEVICE bool counts(int label, int classes) const {
    return label != ignore && label >= 0 && label < classes;
  }
  HOST_DEVICE float weight(int label, int classes) const {
    return !counts(label, classes) ? 0 : class_weights ? class_weights[label] : 1.0f;
  }
};

namespace cpu {
// x, targets, losses, dy, dx: of one shape. Adds to dx.
void value_loss(Stream&, View<const float> x, View<const float> targets, ValueLoss, View<float> losses);
void value_loss_backward(Stream&, View<const float> x, View<const float> targets, ValueLoss,
                         View<const float> dy, View<float> dx);

// boxes, targets, dboxes [N,1,B,4]; losses, dy [N,1,B,1]. Adds to dboxes.
void box_loss(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule, View<float> losses);
void box_loss_backward(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule,
                       View<const float> dy, View<float> dboxes);

// Of each row of logits [N,H,W,C], -ln of the softmax at its label; labels, losses, dy [N,H,W,1]. Rows that
// do not count lose 0. Adds dy (softmax - 1 at the label) to dlogits.
void cross_entropy(Stream&, View<const float> logits, View<const int> labels, RowClasses, View<float> losses);
void cross_entropy_backward(Stream&, View<const float> logits, View<const int> labels, RowClasses,
                            View<const float> dy, View<float> dlogits);
// The weights [N,H,W,1] with which the sum of the losses is their mean: those of the classes over their sum.
// All 0 where no row counts.
void mean_weights(Stream&, View<const int> labels, RowClasses, int classes, View<float> weights);

// sum [1,1,1,1]: of weight times loss where the weight is not 0, in double and in a fixed order.
void weighted_sum(Stream&, View<const float> losses, View<const float> weights, View<float> sum);
}  // namespace cpu

namespace cuda {
void value_loss(Stream&, View<const float> x, View<const float> targets, ValueLoss, View<float> losses);
void value_loss_backward(Stream&, View<const float> x, View<const float> targets, ValueLoss,
                         View<const float> dy, View<float> dx);
void box_loss(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule, View<float> losses);
void box_loss_backward(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule,
                       View<const float> dy, View<float> dboxes);
void cross_entropy(Stream&, View<const float> logits, View<const int> labels, RowClasses, View<float> losses);
void cross_entropy_backward(Stream&, View<const float> logits, View<const int> labels, RowClasses,
                            View<const float> dy, View<float> dlogits);
void mean_weights(Stream&, View<const int> labels, RowClasses, int classes, View<float> weights);
void weighted_sum(Stream&, View<const float> losses, View<const float> weights, View<float> sum);
}  // namespace cuda

}  // namespace osprey
