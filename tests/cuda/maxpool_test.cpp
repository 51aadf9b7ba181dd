#include "cuda/maxpool.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  Window2 window;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {pooling_window(1, 1, 0), pooling_window(1, 1, 0)}},
    {{2, 4, 5, 3}, {pooling_window(2, 2, 1), pooling_window(2, 2, 1)}},
    {{1, 5, 5, 7}, {pooling_window(3, 1, 2), pooling_window(3, 1, 2)}},
    {{1, 5, 3, 33}, {pooling_window(5, 1, 4), pooling_window(2, 2, 0)}},  // a window larger than the image
    {{2, 4, 5, 1}, {pooling_window(2, 3, 0), pooling_window(3, 2, 1)}},   // pixels that no window covers
};

// Comparisons and additions in one order: equal bits.
TEST(MaxpoolKernel, FindsTheFirstLargestAndSendsItTheGradient) {
  Stream s;
  for (const Case& test : kCases) {
    const Window &wh = test.window.h, &ww = test.window.w;
    const Shape in = test.x, out = {in.n, wh.outputs(in.h), ww.outputs(in.w), in.c};
    SCOPED_TRACE(in.text() + " to " + out.text());
    const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2),
                 before = coarse_values(in.size(), 3);
    Values want_y(out.size()), want_dx = before;
    std::vector<int> want_winner(out.size());
    for (int i = 0; i < out.size(); ++i) {
      const auto [n, oh, ow, c] = out.pixel(i);
      int best = -1;
      for (int p = 0; p < wh.size; ++p)
        for (int q = 0; q < ww.size; ++q) {
          const int h = wh.start(oh) + p, w = ww.start(ow) + q;
          if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
          const int at = in.index(n, h, w, c);
          if (best < 0 || x[at] > x[best]) best = at;
        }
      want_y[i] = x[best];
      want_winner[i] = best;
      want_dx[best] += dy[i];
    }
    in_all_orders([&] {
      Values y(out.size(), NAN), y_inference(out.size(), NAN), dx = before;
      std::vector<int> winner(out.size(), -1);
      cuda::maxpool_forward(s, constant(x, in), view(y, out), view(winner, out), test.window);
      cuda::maxpool_forward(s, constant(x, in), view(y_inference, out), {}, test.window);
      cuda::maxpool_backward(s, constant(dy, out), view(winner, out), view(dx, in), test.window);
      EXPECT_EQ(y, want_y);
      EXPECT_EQ(y_inference, want_y);
      EXPECT_EQ(winner, want_winner);
      EXPECT_EQ(dx, want_dx);
    });
  }
}

}  // namespace
}  // namespace osprey::test
