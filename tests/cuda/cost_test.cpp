#include "cuda/cost.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Multiples of 1/64 add up exactly.
TEST(CostKernel, AddsToTheReportAndToTheGradient) {
  Stream s;
  for (CostType type : {CostType::sse, CostType::masked, CostType::smooth, CostType::l1})
    for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}}) {
      SCOPED_TRACE(int(type));
      const int size = shape.size();
      Values x = coarse_values(size, 1), targets = coarse_values(size, 2);
      for (float& v : targets) v *= 2;  // differences below and above 1
      targets[0] = -1234;
      const Values dy = coarse_values(size, 3), before = coarse_values(size, 4);
      double want = 5;
      Values want_dx = before;
      for (int i = 0; i < size; ++i) {
        const double d = targets[i] - x[i], sign = d > 0 ? 1 : -1;
        const bool masked = type == CostType::masked && i == 0, small = std::fabs(d) < 1;
        const double square = masked ? 0 : d * d, step = masked ? 0 : d;
        want += type == CostType::l1                 ? std::fabs(d)
                : type == CostType::smooth && !small ? 2 * std::fabs(d) - 1
                                                     : square;
        const bool by_sign = type == CostType::l1 || (type == CostType::smooth && !small);
        want_dx[i] += float(dy[i] - 0.5 * (by_sign ? sign : step));
      }
      in_all_orders([&] {
        LossReport report;
        report.loss = 5;
        Values dx = before;
        cuda::cost_forward(s, constant(x, shape), constant(targets, shape), type, &report);
        cuda::cost_backward(s, constant(x, shape), constant(targets, shape), constant(dy, shape),
                            view(dx, shape), type, 0.5f);
        EXPECT_NEAR(report.loss, want, 1e-7 * want);  // a square of 1234 is rounded to a float
        EXPECT_EQ(dx, want_dx);
      });
    }
}

}  // namespace
}  // namespace osprey::test
