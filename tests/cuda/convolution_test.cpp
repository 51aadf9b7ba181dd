#include "cuda/convolution.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  int filters;
  Convolution c;
};
Convolution square(int size, int stride, int padding, int dilation = 1, int groups = 1) {
  const Window w = convolution_window(size, stride, padding, dilation);
  return {{w, w}, groups};
}
const Case kCases[] = {
    {{1, 1, 1, 1}, 1, square(1, 1, 0)},
    {{2, 3, 2, 33}, 3, square(1, 1, 0)},       // the product alone
    {{1, 4, 4, 4}, 2, square(1, 1, 0, 1, 2)},  // the same in groups
    {{1, 4, 5, 3}, 3, square(1, 2, 0)},
    {{1, 3, 3, 2}, 3, square(1, 1, 1)},  // outputs that see padding only
    {{2, 5, 4, 3}, 7, square(3, 1, 1)},
    {{1, 5, 5, 3}, 33, square(3, 2, 1)},
    {{1, 5, 5, 1}, 3, square(3, 1, 1, 2)},
    {{1, 4, 3, 6}, 4, square(3, 1, 1, 1, 2)},
    {{1, 3, 3, 3}, 3, square(2, 1, 1, 1, 3)},
    {{1, 2, 3, 3}, 1, square(5, 1, 2)},                          // a window larger than the image
    {{1, 5, 4, 3}, 3, {{{3, 2, 0, 1, 1}, {2, 1, 1, 1, 2}}, 1}},  // different along the two sides
};

// Calls body(index in y, index in x, index in w) for every product that a convolution adds up.
template <class Body>
void each_product(const Case& t, Shape out, Shape weights, Body&& body) {
  const Window &wh = t.c.window.h, &ww = t.c.window.w;
  for (int i = 0; i < out.size(); ++i) {
    const auto [n, oh, ow, f] = out.pixel(i);
    const int first = f / (out.c / t.c.groups) * weights.c;  // channel of the group
    for (int p = 0; p < wh.size; ++p)
      for (int q = 0; q < ww.size; ++q)
        for (int ch = 0; ch < weights.c; ++ch) {
          const int h = oh * wh.stride - wh.before + p * wh.dilation;
          const int w = ow * ww.stride - ww.before + q * ww.dilation;
          if (h >= 0 && h < t.x.h && w >= 0 && w < t.x.w)
            body(i, t.x.index(n, h, w, first + ch), weights.index(f, p, q, ch));
        }
  }
}

TEST(ConvolutionKernel, AgreesWithTheSixLoops) {
  Stream s;
  for (const Case& t : kCases) {
    const Shape in = t.x, out = t.c.output(in, t.filters), filters = t.c.weights(in, t.filters),
                of_bias = {1, 1, 1, t.filters};
    SCOPED_TRACE(in.text() + " by " + filters.text() + " to " + out.text());
    const Values x = coarse_values(in.size(), 1), weights = coarse_values(filters.size(), 2),
                 bias = coarse_values(t.filters, 3), dy = coarse_values(out.size(), 4),
                 dx_before = coarse_values(in.size(), 5), dweights_before = coarse_values(filters.size(), 6);
    Sums y_plain(out.size()), y_biased(out.size()), want_dx(in.size()), want_dweights(filters.size());
    for (int i = 0; i < out.size(); ++i) y_biased[i].add(bias[i % out.c]);
    for (int i = 0; i < in.size(); ++i) want_dx[i].add(dx_before[i]);
    for (int i = 0; i < filters.size(); ++i) want_dweights[i].add(dweights_before[i]);
    each_product(t, out, filters, [&](int i, int from, int weight) {
      y_plain[i].add(double(x[from]) * weights[weight]);
      y_biased[i].add(double(x[from]) * weights[weight]);
      want_dx[from].add(double(dy[i]) * weights[weight]);
      want_dweights[weight].add(double(dy[i]) * x[from]);
    });
    in_all_orders([&] {
      Values y(out.size(), NAN), dx = dx_before, dweights = dweights_before,
                                 scratch(cuda::convolution_scratch(in, t.filters, t.c), NAN);
      const auto vx = constant(x, in), vw = constant(weights, filters), vdy = constant(dy, out);
      cuda::convolution_forward(s, vx, vw, {}, view(y, out), t.c);
      expect_sums(y, y_plain);
      cuda::convolution_forward(s, vx, vw, {constant(bias, of_bias)}, view(y, out), t.c);
      expect_sums(y, y_biased);
      cuda::convolution_backward_data(s, vdy, vw, view(dx, in), true, t.c);
      expect_sums(dx, want_dx);
      cuda::convolution_backward_weights(s, vx, vdy, view(dweights, filters), channels(scratch), t.c);
      expect_sums(dweights, want_dweights);
    });
  }
}

TEST(ConvolutionKernel, AddsUpTheGradientOfTheBias) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 3, 7}, Shape{1, 3, 1, 33}}) {
    const Values dy = coarse_values(shape.size(), 1), before = coarse_values(shape.c, 2);
    Sums want(shape.c);
    for (int c = 0; c < shape.c; ++c) want[c].add(before[c]);
    for (int i = 0; i < shape.size(); ++i) want[i % shape.c].add(dy[i]);
    in_all_orders([&] {
      Values dbias = before;
      cuda::bias_backward(s, constant(dy, shape), channels(dbias));
      expect_sums(dbias, want);
    });
  }
}

}  // namespace
}  // namespace osprey::test
