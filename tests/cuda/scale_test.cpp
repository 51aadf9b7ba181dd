#include "cuda/scale.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Coarse values: products and their sums are exact, hence equal bits.
TEST(ScaleKernel, MultipliesAndSumsItsGradient) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {1, 3, 3, 7}, {2, 2, 2, 8}, {1, 90, 70, 4}}) {
    SCOPED_TRACE(shape.text());
    const Shape one{1, 1, 1, 1};
    const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 2),
                 before = coarse_values(shape.size(), 3), scale = {0.75f};
    Values want_y, want_dx;
    double sum = 8;
    for (size_t i = 0; i < x.size(); ++i) {
      want_y.push_back(0.75f * x[i]);
      want_dx.push_back(before[i] + 0.75f * dy[i]);
      sum += double(x[i]) * dy[i];
    }
    in_all_orders([&] {
      Values y(x.size(), NAN), dx = before, dscale = {8}, partial(scale_partial(shape).size(), NAN);
      cuda::scale_forward(s, constant(x, shape), constant(scale, one), view(y, shape));
      const auto backward = [&](Tensor to) {
        cuda::scale_backward(s, constant(x, shape), constant(scale, one), constant(dy, shape), to,
                             view(partial, scale_partial(shape)), view(dscale, one));
      };
      backward(view(dx, shape));
      EXPECT_EQ(y, want_y);
      EXPECT_EQ(dx, want_dx);
      EXPECT_EQ(dscale[0], float(sum));
      backward({});  // where nothing before it is trained
      EXPECT_EQ(dscale[0], float(2 * sum - 8));
    });
  }
}

}  // namespace
}  // namespace osprey::test
