#include "cuda/blur.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Weights are powers of two and values multiples of 1/8: all sums are exact.
TEST(BlurKernel, WeighsTheWindowsPixels) {
  Stream s;
  for (const auto& [size, padding] : {std::pair(3, 1), {2, 0}})
    for (Shape in : {Shape{1, 3, 3, 1}, {2, 4, 5, 3}, {1, 5, 2, 8}}) {
      const Blur blur{{convolution_window(size, 2, padding, 1), convolution_window(size, 1, padding, 1)}};
      const Shape out{in.n, blur.window.h.outputs(in.h), blur.window.w.outputs(in.w), in.c};
      const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2);
      const float three[] = {0.25f, 0.5f, 0.25f}, two[] = {0.5f, 0.5f};
      const float* weights = size == 3 ? three : two;
      Values y(out.size(), 0), dx(in.size(), 0);
      for (int i = 0; i < out.size(); ++i)
        for (int p = 0; p < size; ++p)
          for (int q = 0; q < size; ++q) {
            const auto [n, oh, ow, c] = out.pixel(i);
            const int h = 2 * oh + p - padding, w = ow + q - padding;
            if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
            y[i] += weights[p] * weights[q] * x[in.index(n, h, w, c)];
            dx[in.index(n, h, w, c)] += weights[p] * weights[q] * dy[i];
          }
      in_all_orders([&] {
        Values got(out.size(), NAN), got_dx(in.size(), NAN);
        cuda::blur_forward(s, constant(x, in), view(got, out), blur);
        cuda::blur_backward(s, constant(dy, out), view(got_dx, in), blur);
        EXPECT_EQ(got, y);
        EXPECT_EQ(got_dx, dx);
      });
    }
}

}  // namespace
}  // namespace osprey::test
