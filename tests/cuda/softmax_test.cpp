#include "cuda/softmax.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape shape;
  SoftmaxGroups groups;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {1, 1, 1}},
    {{3, 1, 1, 40}, {1, 1, 0.5f}},
    {{2, 2, 3, 6}, {2, 6, 2}},  // a group is half of the channels over the whole image
    {{1, 2, 5, 7}, {1, 1, 1}},  // more groups than a block has warps
};

// What group value i belongs to.
int group_of(const Case& test, int i) {
  const auto [n, h, w, c] = test.shape.pixel(i);
  const int pixel = (n * test.shape.h + h) * test.shape.w + w;
  return pixel / test.groups.pixels * test.groups.groups + c / test.groups.channels(test.shape, 0);
}

// Sums of up to 40 powers, each of which is right to a few last bits.
TEST(SoftmaxKernel, IsThePowersOverTheirSumAndItsSlope) {
  Stream s;
  for (const Case& test : kCases) {
    const Shape shape = test.shape;
    SCOPED_TRACE(shape.text());
    const int size = shape.size(), groups = test.groups.count(shape);
    const float t = test.groups.temperature;
    const Values x = coarse_values(size, 1), dy = coarse_values(size, 2), before = coarse_values(size, 3);
    std::vector<double> sums(groups), means(groups), want(size);
    for (int i = 0; i < size; ++i) sums[group_of(test, i)] += std::exp(double(x[i]) / t);
    for (int i = 0; i < size; ++i) want[i] = std::exp(double(x[i]) / t) / sums[group_of(test, i)];
    for (int i = 0; i < size; ++i) means[group_of(test, i)] += want[i] * dy[i];
    in_all_orders([&] {
      Values y = x, dx = before, in_place = dy;
      cuda::softmax_forward(s, view(y, shape), view(y, shape), test.groups);
      cuda::softmax_backward(s, view(y, shape), constant(dy, shape), view(dx, shape), test.groups);
      cuda::softmax_backward(s, view(y, shape), view(in_place, shape), view(in_place, shape), test.groups);
      for (int i = 0; i < size; ++i) {
        const double slope = want[i] * (dy[i] - means[group_of(test, i)]) / t;
        ASSERT_NEAR(y[i], want[i], 1e-6);
        ASSERT_NEAR(dx[i], before[i] + slope, 2e-6);
        ASSERT_NEAR(in_place[i], slope, 2e-6);
      }
    });
  }
}

TEST(SoftmaxKernel, AddsTheCrossEntropyToTheReport) {
  Stream s;
  const Shape shape{3, 1, 1, 7};
  Values y = coarse_values(21, 1), targets(21);
  double want = 100;
  for (int i = 0; i < 21; ++i) {
    y[i] = std::fabs(y[i]);
    targets[i] = float(i % 3);
    if (i % 3) want -= targets[i] * std::log(std::max(y[i], 1.17549435e-38f));
  }
  const Values before = coarse_values(21, 3), above = coarse_values(21, 4);
  in_all_orders([&] {
    LossReport report;
    report.loss = report.class_loss = 100;
    Values dx = before, alone = before;
    cuda::softmax_cross_entropy(s, constant(y, shape), constant(targets, shape), &report);
    cuda::softmax_loss_backward(s, constant(y, shape), constant(targets, shape), constant(above, shape),
                                view(dx, shape));
    cuda::softmax_loss_backward(s, constant(y, shape), constant(targets, shape), {}, view(alone, shape));
    EXPECT_NEAR(report.loss, want, 1e-5);
    EXPECT_EQ(report.class_loss, report.loss);
    for (int i = 0; i < 21; ++i) {
      ASSERT_FLOAT_EQ(alone[i], before[i] + y[i] - targets[i]);
      ASSERT_FLOAT_EQ(dx[i], before[i] + y[i] - targets[i] + above[i]);
    }
  });
}

}  // namespace
}  // namespace osprey::test
