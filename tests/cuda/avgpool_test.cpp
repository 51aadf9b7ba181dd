#include "cuda/avgpool.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Multiples of 1/8 add up exactly; their mean is rounded once by each side.
TEST(AvgpoolKernel, TakesMeansAndSharesGradients) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}, {1, 5, 4, 8}, {1, 1, 3, 33}}) {
    SCOPED_TRACE(shape.text());
    const Shape out{shape.n, 1, 1, shape.c};
    const int pixels = shape.h * shape.w;
    const Values x = coarse_values(shape.size(), 1), dy = coarse_values(out.size(), 2),
                 before = coarse_values(shape.size(), 3);
    Values want(out.size()), want_dx = before;
    for (int i = 0; i < shape.size(); ++i) {
      const auto [n, h, w, c] = shape.pixel(i);
      want[n * shape.c + c] += x[i];
      want_dx[i] += dy[n * shape.c + c] / float(pixels);
    }
    for (float& v : want) v /= float(pixels);
    in_all_orders([&] {
      Values y(out.size(), NAN), dx = before;
      cuda::avgpool_forward(s, constant(x, shape), view(y, out));
      cuda::avgpool_backward(s, constant(dy, out), view(dx, shape));
      for (int i = 0; i < out.size(); ++i) ASSERT_FLOAT_EQ(y[i], want[i]);
      for (int i = 0; i < shape.size(); ++i) ASSERT_NEAR(dx[i], want_dx[i], 2e-7);
    });
  }
}

// Windows that overlap, hang over the edge and do not; the divisor counts pixel by pixel what lies in a
// window.
TEST(AvgpoolKernel, TakesMeansOverWindows) {
  Stream s;
  const Shape in{2, 5, 6, 8};
  for (int size : {1, 2, 3})
    for (int padding : {0, 1})
      for (bool up : {false, true})
        for (bool count : {false, true}) {
          if (padding >= size) continue;
          SCOPED_TRACE(size);
          const Averaging a{
              {averaging_window(in.h, size, 2, padding, up), averaging_window(in.w, size, 2, padding, up)},
              count};
          const Shape out{in.n, a.window.h.outputs(in.h), a.window.w.outputs(in.w), in.c};
          const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2),
                       before = coarse_values(in.size(), 3);
          std::vector<double> want_y(size_t(out.size())), want_dx(before.begin(), before.end());
          for (int i = 0; i < out.size(); ++i) {
            const auto [n, oh, ow, c] = out.pixel(i);
            std::vector<int> pixels;
            int counted = 0;
            for (int p = 0; p < size; ++p)
              for (int q = 0; q < size; ++q) {
                const int h = oh * 2 - padding + p, w = ow * 2 - padding + q;
                const bool inside = h >= 0 && w >= 0 && h < in.h && w < in.w;
                if (inside) pixels.push_back(in.index(n, h, w, c));
                counted += inside || (count && h < in.h + padding && w < in.w + padding);
              }
            ASSERT_FALSE(pixels.empty());
            for (int at : pixels) {
              want_y[size_t(i)] += double(x[size_t(at)]) / counted;
              want_dx[size_t(at)] += double(dy[size_t(i)]) / counted;
            }
          }
          in_all_orders([&] {
            Values y(out.size(), NAN), dx = before;
            cuda::avgpool_windows_forward(s, constant(x, in), view(y, out), a);
            cuda::avgpool_windows_backward(s, constant(dy, out), view(dx, in), a);
            for (int i = 0; i < out.size(); ++i) ASSERT_NEAR(y[i], want_y[i], 1e-6);
            for (int i = 0; i < in.size(); ++i) ASSERT_NEAR(dx[i], want_dx[i], 1e-6);
          });
        }
}

TEST(AvgpoolKernel, ReadsBf16AndMakesFloats) {
  const Shape shape{1, 2, 3, 8}, out{1, 1, 1, 8};
  std::vector<bf16> x(48, 0.5f), dx(48, 1.0f);
  Values y(8, NAN), dy(8, 3.0f);
  x[0] = 2.0f;
  Stream s;
  cuda::avgpool_forward(s, view(x, shape), view(y, out));
  cuda::avgpool_backward(s, view(dy, out), view(dx, shape));
  EXPECT_FLOAT_EQ(y[0], 0.75f);
  EXPECT_FLOAT_EQ(y[7], 0.5f);
  for (bf16 v : dx) EXPECT_EQ(float(v), 1.5f);
}

}  // namespace
}  // namespace osprey::test
