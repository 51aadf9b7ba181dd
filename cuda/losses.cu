#include "cuda/losses.h"

#include "cuda/launch.h"
#include "cuda/softmax_row.cuh"

namespace osprey::cuda {
namespace {

// One thread per value.
__global__ void value_loss_kernel(View<const float> x, View<const float> targets, ValueLoss loss,
                                  View<float> losses) {
  const int i = global_thread();
  if (i >= losses.size()) return;
  losses[i] = loss.cost(x[i], targets[i]).loss;
}

// One thread per value.
__global__ void value_loss_backward_kernel(View<const float> x, View<const float> targets, ValueLoss loss,
                                           View<const float> dy, View<float> dx) {
  const int i = global_thread();
  if (i >= dx.size() || dy[i] == 0) return;
  dx[i] += dy[i] * loss.cost(x[i], targets[i]).slope;
}

// One thread per box.
__global__ void box_loss_kernel(View<const float> boxes, View<const float> targets, BoxLossRule rule,
                                View<float> losses) {
  const int row = global_thread();
  if (row >= losses.size()) return;
  losses[row] = rule.cost(box_of_row(boxes, row), box_of_row(targets, row)).loss;
}

// One thread per box.
__global__ void box_loss_backward_kernel(View<const float> boxes, View<const float> targets, BoxLossRule rule,
                                         View<const float> dy, View<float> dboxes) {
  const int row = global_thread();
  if (row >= dy.size() || dy[row] == 0) return;
  const Box slopes = rule.cost(box_of_row(boxes, row), box_of_row(targets, row)).slopes;
  add_to_row(dboxes, row, overlap_slopes::times(dy[row], slopes));
}

// One warp per row, of which all lanes return together or none.
__global__ void cross_entropy_kernel(View<const float> logits, View<const int> labels, RowClasses rule,
                                     View<float> losses) {
  const int row = row_of_warp(), classes = logits.shape.c;
  if (row >= losses.size()) return;
  const int label = labels[row];
  float loss = 0;
  if (rule.counts(label, classes)) {
    const float* of_row = logits.data + int64_t(row) * classes;
    const RowSoftmax softmax(of_row, classes);
    loss = softmax.log_sum - (of_row[label] - softmax.largest);
  }
  if (threadIdx.x % 32 == 0) losses[row] = loss;
}

// One warp per row, as before.
__global__ void cross_entropy_backward_kernel(View<const float> logits, View<const int> labels,
                                              RowClasses rule, View<const float> dy, View<float> dlogits) {
  const int row = row_of_warp(), classes = logits.shape.c;
  if (row >= dy.size() || dy[row] == 0 || !rule.counts(labels[row], classes)) return;
  const float* of_row = logits.data + int64_t(row) * classes;
  const RowSoftmax softmax(of_row, classes);
  for (int c = int(threadIdx.x % 32); c < classes; c += 32) {
    const float probability = expf(softmax.log_probability(of_row[c]));
    dlogits[row * classes + c] += dy[row] * (probability - (c == labels[row] ? 1.0f : 0.0f));
  }
}

// One block for all rows: what it sums it then divides by, and the order of additions is fixed.
__global__ void mean_weights_kernel(View<const int> labels, RowClasses rule, int classes,
                                    View<float> weights) {
  double sum = 0;
  for (int i = int(threadIdx.x); i < labels.size(); i += int(blockDim.x))
    sum += rule.weight(labels[i], classes);
  sum = block_sum(sum);
  for (int i = int(threadIdx.x); i < labels.size(); i += int(blockDim.x))
    weights[i] = sum > 0 ? float(rule.weight(labels[i], classes) / sum) : 0;
}

// One block for all, as before.
__global__ void weighted_sum_kernel(View<const float> losses, View<const float> weights, View<float> sum) {
  double total = 0;
  for (int i = int(threadIdx.x); i < losses.size(); i += int(blockDim.x))
    if (weights[i] != 0) total += double(weights[i]) * losses[i];
  total = block_sum(total);
  if (threadIdx.x == 0) sum[0] = float(total);
}

constexpr int kReducers = 1024;

}  // namespace

void value_loss(Stream& s, View<const float> x, View<const float> targets, ValueLoss loss,
                View<float> losses) {
  launch<value_loss_kernel>(s, one_thread_each(losses.size()), x, targets, loss, losses);
}

void value_loss_backward(Stream& s, View<const float> x, View<const float> targets, ValueLoss loss,
                         View<const float> dy, View<float> dx) {
  launch<value_loss_backward_kernel>(s, one_thread_each(dx.size()), x, targets, loss, dy, dx);
}

void box_loss(Stream& s, View<const float> boxes, View<const float> targets, BoxLossRule rule,
              View<float> losses) {
  launch<box_loss_kernel>(s, one_thread_each(losses.size()), boxes, targets, rule, losses);
}

void box_loss_backward(Stream& s, View<const float> boxes, View<const float> targets, BoxLossRule rule,
                       View<const float> dy, View<float> dboxes) {
  launch<box_loss_backward_kernel>(s, one_thread_each(dy.size()), boxes, targets, rule, dy, dboxes);
}

void cross_entropy(Stream& s, View<const float> logits, View<const int> labels, RowClasses rule,
                   View<float> losses) {
  launch<cross_entropy_kernel>(s, one_warp_each(losses.size()), logits, labels, rule, losses);
}

void cross_entropy_backward(Stream& s, View<const float> logits, View<const int> labels, RowClasses rule,
                            View<const float> dy, View<float> dlogits) {
  launch<cross_entropy_backward_kernel>(s, one_warp_each(dy.size()), logits, labels, rule, dy, dlogits);
}

void mean_weights(Stream& s, View<const int> labels, RowClasses rule, int classes, View<float> weights) {
  launch<mean_weights_kernel>(s, Grid{dim3(1), dim3(kReducers)}, labels, rule, classes, weights);
}

void weighted_sum(Stream& s, View<const float> losses, View<const float> weights, View<float> sum) {
  launch<weighted_sum_kernel>(s, Grid{dim3(1), dim3(kReducers)}, losses, weights, sum);
}

}  // namespace osprey::cuda
