// Losses over tensors, on the CPU: loops over the formulas of core/losses.h, and softmax with cross entropy.

#include "cuda/losses.h"

#include <algorithm>

namespace osprey::cpu {
namespace {

// ln of the sum of the exponentials of a row, of which the largest is taken out so that none overflows.
double log_sum_of_exponentials(const float* logits, int classes) {
  const float largest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (int c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
  return largest + std::log(sum);
}

}  // namespace

void value_loss(Stream&, View<const float> x, View<const float> targets, ValueLoss loss, View<float> losses) {
  for (int i = 0; i < losses.size(); ++i) losses[i] = loss.cost(x[i], targets[i]).loss;
}

void value_loss_backward(Stream&, View<const float> x, View<const float> targets, ValueLoss loss,
                         View<const float> dy, View<float> dx) {
  for (int i = 0; i < dx.size(); ++i)
    if (dy[i] != 0) dx[i] += dy[i] * loss.cost(x[i], targets[i]).slope;
}

void box_loss(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule rule,
              View<float> losses) {
  for (int row = 0; row < losses.size(); ++row)
    losses[row] = rule.cost(box_of_row(boxes, row), box_of_row(targets, row)).loss;
}

void box_loss_backward(Stream&, View<const float> boxes, View<const float> targets, BoxLossRule rule,
                       View<const float> dy, View<float> dboxes) {
  for (int row = 0; row < dy.size(); ++row) {
    if (dy[row] == 0) continue;
    const Box slopes = rule.cost(box_of_row(boxes, row), box_of_row(targets, row)).slopes;
    add_to_row(dboxes, row, overlap_slopes::times(dy[row], slopes));
  }
}

void cross_entropy(Stream&, View<const float> logits, View<const int> labels, RowClasses rule,
                   View<float> losses) {
  const int classes = logits.shape.c;
  for (int row = 0; row < losses.size(); ++row) {
    const float* of_row = logits.data + int64_t(row) * classes;
    const int label = labels[row];
    const bool counts = rule.counts(label, classes);
    losses[row] = counts ? float(log_sum_of_exponentials(of_row, classes) - of_row[label]) : 0;
  }
}

void cross_entropy_backward(Stream&, View<const float> logits, View<const int> labels, RowClasses rule,
                            View<const float> dy, View<float> dlogits) {
  const int classes = logits.shape.c;
  for (int row = 0; row < dy.size(); ++row) {
    if (dy[row] == 0 || !rule.counts(labels[row], classes)) continue;
    const float* of_row = logits.data + int64_t(row) * classes;
    const double log_sum = log_sum_of_exponentials(of_row, classes);
    for (int c = 0; c < classes; ++c)
      dlogits[row * classes + c] += dy[row] * float(std::exp(of_row[c] - log_sum) - (c == labels[row]));
  }
}

void mean_weights(Stream&, View<const int> labels, RowClasses rule, int classes, View<float> weights) {
  double sum = 0;
  for (int i = 0; i < labels.size(); ++i) sum += rule.weight(labels[i], classes);
  for (int i = 0; i < labels.size(); ++i)
    weights[i] = sum > 0 ? float(rule.weight(labels[i], classes) / sum) : 0;
}

void weighted_sum(Stream&, View<const float> losses, View<const float> weights, View<float> sum) {
  double total = 0;
  for (int i = 0; i < losses.size(); ++i)
    if (weights[i] != 0) total += double(weights[i]) * losses[i];
  sum[0] = float(total);
}

}  // namespace osprey::cpu
