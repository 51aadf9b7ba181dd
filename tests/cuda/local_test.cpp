#include "cuda/local.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

TEST(LocalKernel, EqualsPlainLoops) {
  Stream s;
  struct Case {
    Shape x;
    int filters, size, stride, pad;
  };
  for (const Case& c :
       {Case{{1, 1, 1, 1}, 1, 1, 1, 0}, {{2, 3, 4, 3}, 2, 3, 1, 1}, {{5, 4, 3, 33}, 3, 2, 2, 0}}) {
    SCOPED_TRACE(c.x.text());
    Window2 window;
    window.h = window.w = convolution_window(c.size, c.stride, c.pad, 1);
    const Shape y_shape{c.x.n, window.h.outputs(c.x.h), window.w.outputs(c.x.w), c.filters};
    const int values = y_shape.size() / y_shape.n;
    const Shape w_shape{values, c.size, c.size, c.x.c}, b_shape{1, y_shape.h, y_shape.w, c.filters};
    const Values x = coarse_values(c.x.size(), 1), weights = coarse_values(w_shape.size(), 2),
                 biases = coarse_values(values, 3), dy = coarse_values(y_shape.size(), 4),
                 dx_before = coarse_values(c.x.size(), 5), dw_before = coarse_values(w_shape.size(), 6);
    Sums y(y_shape.size()), dx(c.x.size()), dw(w_shape.size());
    for (int i = 0; i < c.x.size(); ++i) dx[i].add(dx_before[i]);
    for (int i = 0; i < w_shape.size(); ++i) dw[i].add(dw_before[i]);
    for (int i = 0; i < y_shape.size(); ++i) {
      y[i].add(biases[i % values]);
      for (int tap = 0; tap < w_shape.size() / values; ++tap) {
        const int channel = tap % c.x.c, q = tap / c.x.c % c.size, p = tap / c.x.c / c.size;
        const auto [n, oh, ow, f] = y_shape.pixel(i);
        const int h = oh * c.stride + p - c.pad, w = ow * c.stride + q - c.pad;
        if (h < 0 || h >= c.x.h || w < 0 || w >= c.x.w) continue;
        const int from = c.x.index(n, h, w, channel), weight = i % values * (w_shape.size() / values) + tap;
        y[i].add(double(weights[weight]) * x[from]);
        dx[from].add(double(weights[weight]) * dy[i]);
        dw[weight].add(double(x[from]) * dy[i]);
      }
    }
    in_all_orders([&] {
      Values got(y_shape.size(), NAN), got_dx = dx_before, got_dw = dw_before;
      cuda::local_forward(s, constant(x, c.x), constant(weights, w_shape), constant(biases, b_shape),
                          view(got, y_shape), {}, window);
      cuda::local_backward_weights(s, constant(x, c.x), constant(dy, y_shape), view(got_dw, w_shape), {},
                                   window);
      cuda::local_backward_input(s, constant(dy, y_shape), constant(weights, w_shape), view(got_dx, c.x), {},
                                 window);
      expect_sums(got, y);
      expect_sums(got_dx, dx);
      expect_sums(got_dw, dw);
    });
  }
}

}  // namespace
}  // namespace osprey::test
