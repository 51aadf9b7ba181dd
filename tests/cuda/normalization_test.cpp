#include "cuda/normalization.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Powers and sums of a few terms err by some units in the last place.
void expect_near(const Values& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6 * (1 + std::fabs(want[i])));
}

TEST(NormalizationKernel, NormalisesAndTakesTheDerivative) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {1, 1, 2, 3}, {2, 2, 3, 9}}) {
    SCOPED_TRACE(shape.text());
    const int channels = shape.c;
    const ChannelWindow window{0.25f, 0.5f, 2, 5};
    const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 2),
                 before = coarse_values(shape.size(), 3);
    // In how many of a channel's norms (1, 0 or -1 times) another one counts.
    const auto counts = [&](int of, int k) { return (std::abs(of - k) <= 2 ? 1 : 0) - (k == 2 ? 1 : 0); };
    std::vector<double> norms(shape.size(), 2), y(shape.size()), dx(before.begin(), before.end());
    for (int i = 0; i < shape.size(); ++i) {
      const int pixel = i - i % channels;
      for (int k = 0; k < channels; ++k)
        norms[i] += 0.25 * counts(i % channels, k) * double(x[pixel + k]) * x[pixel + k];
      y[i] = x[i] / std::sqrt(norms[i]);
      dx[i] += dy[i] / std::sqrt(norms[i]);
      for (int k = 0; k < channels; ++k)  // dy/dn dn/dx
        dx[pixel + k] -=
            0.5 * dy[i] * x[i] * std::pow(norms[i], -1.5) * 0.25 * counts(i % channels, k) * 2 * x[pixel + k];
    }
    in_all_orders([&] {
      Values got(shape.size(), NAN), got_norms(shape.size(), NAN), got_dx = before;
      cuda::normalization_forward(s, constant(x, shape), view(got, shape), view(got_norms, shape), window);
      cuda::normalization_backward(s, constant(x, shape), constant(got_norms, shape), constant(dy, shape),
                                   view(got_dx, shape), window);
      expect_near(got, y);
      expect_near(got_norms, norms);
      expect_near(got_dx, dx);
    });
  }
}

}  // namespace
}  // namespace osprey::test
