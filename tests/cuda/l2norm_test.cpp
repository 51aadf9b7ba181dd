#include "cuda/l2norm.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Sums of a pixel's channels, and for the scale of up to 15 rows, err by some units in the last place.
void expect_near(const Values& got, const Values& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6 * (20 + std::fabs(want[i])));
}

TEST(L2NormKernel, NormalisesPixelsAndSharesTheGradient) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {1, 3, 3, 7}, {2, 2, 2, 8}, {1, 3, 5, 33}, {1, 1, 9, 136}}) {
    SCOPED_TRACE(shape.text());
    const Shape channel{1, 1, 1, shape.c}, pixels{shape.n, shape.h, shape.w, 1};
    Values x = coarse_values(shape.size(), 1);
    const Values scale = coarse_values(shape.c, 2), dy = coarse_values(shape.size(), 3),
                 before = coarse_values(shape.size(), 4), scale_before = coarse_values(shape.c, 5);
    for (int c = 0; c < shape.c; ++c) x[c] = 0;  // the first pixel
    Values want_y(shape.size(), 0), want_dx = before, want_dscale = scale_before;
    for (int row = 1; row < shape.rows(); ++row) {
      const int start = row * shape.c;
      double squares = 0, along = 0;
      for (int i = start; i < start + shape.c; ++i) {
        squares += double(x[i]) * x[i];
        along += double(scale[i - start]) * dy[i] * x[i];
      }
      const double m = std::sqrt(squares) + 0.25;
      for (int i = start; i < start + shape.c; ++i) {
        want_y[i] = float(scale[i - start] * x[i] / m);
        if (squares > 0)
          want_dx[i] += float(scale[i - start] * dy[i] / m - x[i] * along / (std::sqrt(squares) * m * m));
        want_dscale[i - start] += float(dy[i] * x[i] / m);
      }
    }
    in_all_orders([&] {
      Values y(shape.size(), NAN), dx = before, dscale = scale_before, norms(pixels.size(), NAN);
      Values partial(l2norm_partial(shape).size(), NAN);
      const L2Norm l{constant(scale, channel), view(norms, pixels), 0.25f};
      cuda::l2norm_forward(s, constant(x, shape), l, view(y, shape));
      cuda::l2norm_backward_input(s, constant(x, shape), l, constant(dy, shape), view(dx, shape));
      cuda::l2norm_backward_scale(s, constant(x, shape), l, constant(dy, shape),
                                  view(partial, l2norm_partial(shape)), view(dscale, channel));
      expect_near(y, want_y);
      expect_near(dx, want_dx);
      expect_near(dscale, want_dscale);
    });
  }
}

}  // namespace
}  // namespace osprey::test
