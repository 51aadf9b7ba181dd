#include "cuda/upsample.h"

#include <algorithm>
#include <tuple>

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

// The rule as the documentation of PyTorch's interpolate gives it, in double.
TEST(UpsampleKernel, InterpolatesAndCollectsItsGradient) {
  const auto taps = [](int output, int inputs, int outputs, bool align) {
    const double place = align ? (outputs > 1 ? output * (inputs - 1.0) / (outputs - 1.0) : 0)
                               : std::max(0.0, (output + 0.5) * inputs / outputs - 0.5);
    const int low = std::min(int(place), inputs - 1);
    return std::tuple{low, std::min(low + 1, inputs - 1), place - low};
  };
  const std::pair<Shape, Shape> sizes[] = {
      {{1, 1, 1, 1}, {1, 3, 2, 1}}, {{2, 2, 3, 7}, {2, 5, 4, 7}}, {{1, 5, 4, 8}, {1, 2, 7, 8}}};
  Stream s;
  for (auto [in, out] : sizes)
    for (bool align : {false, true}) {
      SCOPED_TRACE(in.text() + " to " + out.text());
      const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2),
                   before = coarse_values(in.size(), 3);
      std::vector<double> want_y(size_t(out.size())), want_dx(before.begin(), before.end());
      for (int i = 0; i < out.size(); ++i) {
        const auto [n, oh, ow, c] = out.pixel(i);
        const auto [h0, h1, h_share] = taps(oh, in.h, out.h, align);
        const auto [w0, w1, w_share] = taps(ow, in.w, out.w, align);
        const auto meet = [&, n = n, c = c](int h, int w, double weight) {
          want_y[size_t(i)] += weight * x[size_t(in.index(n, h, w, c))];
          want_dx[size_t(in.index(n, h, w, c))] += weight * dy[size_t(i)];
        };
        meet(h0, w0, (1 - h_share) * (1 - w_share));
        meet(h0, w1, (1 - h_share) * w_share);
        meet(h1, w0, h_share * (1 - w_share));
        meet(h1, w1, h_share * w_share);
      }
      in_all_orders([&, in = in, out = out] {
        Values y(out.size(), NAN), dx = before;
        cuda::bilinear_forward(s, constant(x, in), view(y, out), 1, align);
        cuda::bilinear_backward(s, constant(dy, out), view(dx, in), 1, align);
        // Places among a handful of pixels are off by 1e-6 in float, and a value takes in at most 20 terms.
        for (int i = 0; i < out.size(); ++i) ASSERT_NEAR(y[i], want_y[i], 5e-6);
        for (int i = 0; i < in.size(); ++i) ASSERT_NEAR(dx[i], want_dx[i], 2e-5);
      });
    }
}

}  // namespace
}  // namespace osprey::test
