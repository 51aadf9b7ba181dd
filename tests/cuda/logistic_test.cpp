#include "cuda/logistic.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

TEST(LogisticKernel, AddsToTheReportAndToTheGradient) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}}) {
    const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 3),
                 before = coarse_values(shape.size(), 4);
    Values targets = coarse_values(shape.size(), 2), y;
    for (float& t : targets) t = std::fabs(t);
    double loss = 5;
    std::vector<double> dx;
    for (int i = 0; i < shape.size(); ++i) {
      const double p = 1 / (1 + std::exp(-double(x[i])));
      y.push_back(float(p));
      loss -= targets[i] * std::log(p) + (1 - targets[i]) * std::log(1 - p);
      dx.push_back(before[i] + p - targets[i] + dy[i] * p * (1 - p));
    }
    in_all_orders([&] {
      LossReport report;
      report.loss = 5;
      Values got = before;
      cuda::logistic_cross_entropy(s, constant(x, shape), constant(targets, shape), &report);
      cuda::logistic_backward(s, constant(y, shape), constant(targets, shape), constant(dy, shape),
                              view(got, shape));
      EXPECT_NEAR(report.loss, loss, 1e-6 * loss);
      EXPECT_NEAR(report.class_loss, loss - 5, 1e-6 * loss);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], dx[i], 1e-6);
      Values alone = before;
      cuda::logistic_backward(s, constant(y, shape), constant(targets, shape), {}, view(alone, shape));
      EXPECT_NEAR(alone[0], before[0] + y[0] - targets[0], 1e-6);
    });
  }
}

}  // namespace
}  // namespace osprey::test
