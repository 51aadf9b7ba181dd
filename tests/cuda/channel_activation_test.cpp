#include "cuda/channel_activation.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// By the formulas in cuda/channel_activation.h, in double; sums of up to 40 channels.
TEST(ChannelActivationKernel, NormalisesAndTakesTheDerivative) {
  Stream s;
  for (Activation a : {Activation::normalize_channels, Activation::normalize_channels_softmax,
                       Activation::normalize_channels_softmax_maxval})
    for (Shape shape : {Shape{1, 1, 1, 1}, {1, 3, 3, 7}, {2, 1, 2, 40}}) {
      SCOPED_TRACE(shape.text());
      const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 2),
                   before = coarse_values(shape.size(), 3);
      std::vector<double> y, dx(before.begin(), before.end());
      for (int pixel = 0; pixel < shape.size(); pixel += shape.c) {
        double largest = 0, sum = 1e-4, mean = 0;
        int winner = -1;
        if (a == Activation::normalize_channels_softmax_maxval)
          winner = int(std::max_element(&x[pixel], &x[pixel] + shape.c) - &x[0]), largest = x[winner];
        const auto part = [&](int i) {
          return a == Activation::normalize_channels ? std::fmax(x[i], 0.0) : std::exp(x[i] - largest);
        };
        for (int i = pixel; i < pixel + shape.c; ++i) sum += part(i);
        for (int i = pixel; i < pixel + shape.c; ++i) y.push_back(part(i) / sum), mean += dy[i] * y.back();
        for (int i = pixel; i < pixel + shape.c; ++i) {
          const double slope = a == Activation::normalize_channels ? (x[i] > 0 ? 1 : 0) : part(i);
          dx[i] += slope * (dy[i] - mean) / sum - (i == winner ? mean * 1e-4 / sum : 0);
        }
      }
      in_all_orders([&] {
        Values got(shape.size(), NAN), got_dx = before;
        cuda::channel_activation_forward(s, constant(x, shape), view(got, shape), a);
        cuda::channel_activation_backward(s, constant(x, shape), constant(dy, shape), view(got_dx, shape), a);
        for (size_t i = 0; i < got.size(); ++i) {
          ASSERT_NEAR(got[i], y[i], 2e-6);
          ASSERT_NEAR(got_dx[i], dx[i], 1e-3 * 2e-3 + 2e-6 * std::fabs(dx[i])) << i;
        }
      });
    }
}

}  // namespace
}  // namespace osprey::test
