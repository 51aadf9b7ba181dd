#include "cuda/upsample.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Coarse values times a power of two: exact, hence equal bits.
TEST(UpsampleKernel, CopiesTheNearestPixelAndCollectsItsGradient) {
  constexpr float kScale = 0.5f;
  const std::pair<Shape, Shape> sizes[] = {
      {{1, 1, 1, 1}, {1, 1, 1, 1}},
      {{2, 2, 3, 7}, {2, 4, 6, 7}},
      {{1, 2, 3, 33}, {1, 5, 4, 33}},
      {{1, 5, 4, 3}, {1, 2, 7, 3}},  // smaller along one side: some inputs have no output
  };
  Stream s;
  for (auto [in, out] : sizes) {
    SCOPED_TRACE(in.text() + " to " + out.text());
    const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2),
                 before = coarse_values(in.size(), 3);
    Values want_y(out.size()), want_dx = before;
    for (int i = 0; i < out.size(); ++i) {
      const auto [n, oh, ow, c] = out.pixel(i);
      const int from = in.index(n, oh * in.h / out.h, ow * in.w / out.w, c);
      want_y[i] = kScale * x[from];
      want_dx[from] += kScale * dy[i];
    }
    in_all_orders([&, in = in, out = out] {
      Values y(out.size(), NAN), dx = before;
      cuda::upsample_forward(s, constant(x, in), view(y, out), kScale);
      cuda::upsample_backward(s, constant(dy, out), view(dx, in), kScale);
      EXPECT_EQ(y, want_y);
      EXPECT_EQ(dx, want_dx);
    });
  }
}

}  // namespace
}  // namespace osprey::test
