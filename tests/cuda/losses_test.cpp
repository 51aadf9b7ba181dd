#include "cuda/losses.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Every third is 0: there, what belongs to it must not be read.
Values weights_with_gaps(int count, uint64_t seed) {
  Values weights = coarse_values(count, seed);
  for (int i = 0; i < count; ++i) weights[size_t(i)] = i % 3 == 1 ? 0 : weights[size_t(i)] + 2;
  return weights;
}

// The formulas are proved in tests/core/losses_test.cpp: here that each value meets its own target, weight
// and gradient. The same formula elsewhere may be rounded otherwise, where a multiplication meets an
// addition.
TEST(LossKernels, EveryValueLosesItsOwn) {
  Stream s;
  for (const auto kind : {ValueLoss::Kind::smooth_l1, ValueLoss::Kind::bce, ValueLoss::Kind::focal})
    for (const int count : {1, 300}) {
      const ValueLoss loss = {kind, 0.5f};
      const Shape shape = {1, 1, 1, count};
      const Values before = coarse_values(count, 3);
      Values x = coarse_values(count, 1), targets = coarse_values(count, 2);
      const Values dy = weights_with_gaps(count, 4);
      if (kind == ValueLoss::Kind::focal)
        for (float& t : targets) t = t > 0;
      in_all_orders([&] {
        Values losses(size_t(count), NAN), dx = before;
        cuda::value_loss(s, constant(x, shape), constant(targets, shape), loss, view(losses, shape));
        Values unread = x;
        for (size_t i = 0; i < unread.size(); ++i)
          if (dy[i] == 0) unread[i] = NAN;
        cuda::value_loss_backward(s, constant(unread, shape), constant(targets, shape), loss,
                                  constant(dy, shape), view(dx, shape));
        for (size_t i = 0; i < x.size(); ++i) {
          const LossAndSlope want = loss.cost(x[i], targets[i]);
          ASSERT_NEAR(losses[i], want.loss, 1e-6) << i;
          ASSERT_NEAR(dx[i], before[i] + dy[i] * want.slope, 2e-6) << i;
        }
      });
    }
}

TEST(LossKernels, EveryBoxLosesItsOwn) {
  Stream s;
  BoxLossRule rule;
  for (const auto kind : {BoxLossRule::Kind::giou, BoxLossRule::Kind::ciou, BoxLossRule::Kind::nwd})
    for (const int count : {1, 300}) {
      rule.kind = kind;
      const Shape shape = {1, 1, count, 4}, rows = {1, 1, count, 1};
      Values boxes = coarse_values(4 * count, 1), targets = coarse_values(4 * count, 2);
      for (size_t i = 0; i < boxes.size(); ++i)
        if (i % 4 >= 2) boxes[i] += 2.5f, targets[i] += 2.5f;  // corners apart
      const Values before = coarse_values(4 * count, 3), dy = weights_with_gaps(count, 4);
      Values unread = boxes;
      for (size_t i = 0; i < unread.size(); ++i)
        if (dy[i / 4] == 0) unread[i] = NAN;
      in_all_orders([&] {
        Values losses(size_t(count), NAN), dboxes = before;
        cuda::box_loss(s, constant(boxes, shape), constant(targets, shape), rule, view(losses, rows));
        cuda::box_loss_backward(s, constant(unread, shape), constant(targets, shape), rule,
                                constant(dy, rows), view(dboxes, shape));
        for (int i = 0; i < count; ++i) {
          const BoxCost want =
              rule.cost(box_of_row(constant(boxes, shape), i), box_of_row(constant(targets, shape), i));
          const float slopes[] = {want.slopes.x1, want.slopes.y1, want.slopes.x2, want.slopes.y2};
          ASSERT_NEAR(losses[size_t(i)], want.loss, 1e-5) << i;
          for (size_t k = 0; k < 4; ++k) {
            const size_t at = 4 * size_t(i) + k;
            ASSERT_NEAR(dboxes[at], before[at] + dy[size_t(i)] * slopes[k], 1e-5) << i;
          }
        }
      });
    }
}

// Fewer and more classes than lanes of a warp; more rows than warps of a block. Sums of up to 81 exponentials
// of float logits up to 30: 1e-6 of the loss.
TEST(LossKernels, CrossEntropyIsThatOfTheDefinition) {
  Stream s;
  for (const int classes : {1, 5, 33, 81})
    for (const int count : {1, 11}) {
      SCOPED_TRACE(std::to_string(classes) + " classes, rows " + std::to_string(count));
      const Shape shape = {1, 1, count, classes}, rows = {1, 1, count, 1};
      Values logits = coarse_values(shape.size(), 1), class_weights = coarse_values(classes, 2);
      for (float& v : logits) v *= 30;
      for (float& v : class_weights) v += 1.5f;
      const Values before = coarse_values(shape.size(), 3), dy = weights_with_gaps(count, 4);
      std::vector<int> labels;
      for (int i = 0; i < count; ++i) labels.push_back(i % 4 == 3 ? -1 : i % 4 == 2 ? 255 : i * 7 % classes);
      if (classes > 1 && count > 8) labels[8] = 1;
      RowClasses rule = {classes > 1 ? 1 : -1, constant(class_weights, {1, 1, 1, classes})};
      std::vector<double> want(size_t(count), 0), want_weights(size_t(count), 0);
      std::vector<double> want_logits(before.begin(), before.end());
      double whole = 0;
      for (size_t i = 0; i < size_t(count); ++i) {
        if (labels[i] < 0 || labels[i] >= classes || labels[i] == rule.ignore) continue;
        double sum = 0;
        const float* row = &logits[i * size_t(classes)];
        for (int c = 0; c < classes; ++c) sum += std::exp(double(row[c]));
        want[i] = std::log(sum) - row[labels[i]];
        whole += want_weights[i] = class_weights[size_t(labels[i])];
        for (int c = 0; c < classes; ++c)
          want_logits[i * size_t(classes) + size_t(c)] +=
              dy[i] * (std::exp(double(row[c])) / sum - (c == labels[i]));
      }
      double mean = 0;
      for (size_t i = 0; i < want.size(); ++i) mean += whole > 0 ? want_weights[i] / whole * want[i] : 0;
      in_all_orders([&] {
        Values losses(want.size(), NAN), weights(want.size(), NAN), sum(1, NAN), dlogits = before;
        const View<const int> of_labels(labels.data(), rows);
        cuda::cross_entropy(s, constant(logits, shape), of_labels, rule, view(losses, rows));
        cuda::mean_weights(s, of_labels, rule, classes, view(weights, rows));
        cuda::weighted_sum(s, constant(losses, rows), constant(weights, rows), view(sum, {1, 1, 1, 1}));
        cuda::cross_entropy_backward(s, constant(logits, shape), of_labels, rule, constant(dy, rows),
                                     view(dlogits, shape));
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(losses[i], want[i], 1e-5) << i;
          ASSERT_NEAR(weights[i], whole > 0 ? want_weights[i] / whole : 0, 1e-6) << i;
        }
        for (size_t i = 0; i < dlogits.size(); ++i) ASSERT_NEAR(dlogits[i], want_logits[i], 1e-5) << i;
        ASSERT_NEAR(sum[0], mean, 1e-5);
      });
    }
}

// More than the threads of the one block; a loss that does not count may be no number.
TEST(LossKernels, SumsWhatHasAWeight) {
  Stream s;
  for (const int count : {1, 2500}) {
    const Shape shape = {1, 1, 1, count};
    Values losses = coarse_values(count, 1);
    const Values weights = weights_with_gaps(count, 2);
    double want = 0;
    for (size_t i = 0; i < losses.size(); ++i) {
      if (weights[i] == 0) losses[i] = NAN;
      if (weights[i] != 0) want += double(weights[i]) * losses[i];
    }
    in_all_orders([&] {
      Values sum(1, NAN);
      cuda::weighted_sum(s, constant(losses, shape), constant(weights, shape), view(sum, {1, 1, 1, 1}));
      EXPECT_EQ(sum[0], float(want));  // multiples of 1/64 add up exactly
    });
  }
}

// torch's mean is 0/0 here.
TEST(LossKernels, NoRowThatCountsIsNoLoss) {
  Stream s;
  const std::vector<int> labels = {-1, -1, 4};
  Values weights(3, NAN);
  cuda::mean_weights(s, {labels.data(), {1, 1, 3, 1}}, RowClasses{}, 4, view(weights, {1, 1, 3, 1}));
  EXPECT_EQ(weights, Values(3, 0));
}

}  // namespace
}  // namespace osprey::test
