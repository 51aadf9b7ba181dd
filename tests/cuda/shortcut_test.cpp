#include "cuda/shortcut.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x, y;
  Meeting meeting;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1, 1}},
    {{2, 2, 3, 8}, {2, 2, 3, 8}, {2, 3, 8, 1, 1}},
    {{1, 4, 6, 4}, {1, 2, 3, 8}, {2, 3, 4, 2, 1}},  // every second pixel of x
    {{2, 1, 2, 3}, {2, 2, 4, 5}, {1, 2, 3, 1, 2}},  // every second pixel of y
};

// Multiples of powers of two: equal bits.
TEST(ShortcutKernel, AddsWhereLayersMeet) {
  Stream s;
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.x.text() + " to " + test.y.text());
    const Meeting m = test.meeting;
    const Values x = coarse_values(test.x.size(), 1), y_before = coarse_values(test.y.size(), 2),
                 dy = coarse_values(test.y.size(), 3), dx_before = coarse_values(test.x.size(), 4),
                 each = coarse_values(test.x.c + test.y.c, 5);
    Values want_y = y_before, want_dx = dx_before, want_alone(test.x.size());
    for (int i = 0; i < test.x.n * m.h * m.w * m.c; ++i) {
      const auto [n, h, w, c] = Shape{test.x.n, m.h, m.w, m.c}.pixel(i);
      const int from = test.x.index(n, h * m.x_step, w * m.x_step, c),
                to = test.y.index(n, h * m.y_step, w * m.y_step, c);
      want_y[to] = 0.5f * want_y[to] + each[c] * x[from];
      want_dx[from] += each[c] * dy[to];
      want_alone[from] = 2 * dy[to];
    }
    const Factor factor{constant(each, {1, 1, 1, int(each.size())}), 1};
    in_all_orders([&] {
      Values y = y_before, dx = dx_before, alone(test.x.size(), NAN);
      cuda::shortcut_add(s, constant(x, test.x), view(y, test.y), factor, 0.5f, m);
      cuda::shortcut_backward(s, constant(dy, test.y), view(dx, test.x), factor, m);
      cuda::shortcut_backward_overwrite(s, constant(dy, test.y), view(alone, test.x), Factor{{}, 2}, m);
      EXPECT_EQ(y, want_y);
      EXPECT_EQ(dx, want_dx);
      EXPECT_EQ(alone, want_alone);
    });
  }
}

// Row 1 of the gradients is written, row 0 stays; channels that x does not have get zeros.
TEST(ShortcutKernel, SumsTheGradientsOfFactorsOverPixels) {
  Stream s;
  const std::pair<Shape, Shape> shapes[] = {
      {{2, 3, 2, 5}, {2, 3, 2, 3}}, {{1, 3, 5, 8}, {1, 3, 5, 16}}, {{1, 1, 1, 1}, {1, 1, 1, 1}}};
  for (auto [out, in] : shapes) {
    SCOPED_TRACE(in.text() + " in " + out.text());
    const int c = out.c;
    const Values dy = coarse_values(out.size(), 1), x = coarse_values(in.size(), 2);
    Values want(2 * c, 7.0f);
    for (int k = 0; k < c; ++k) {
      want[c + k] = 0;
      for (int row = 0; row < out.rows() && k < in.c; ++row)
        want[c + k] += dy[row * c + k] * x[row * in.c + k];
    }
    in_all_orders([&, out = out, in = in] {
      Values got(2 * c, 7.0f), partial(shortcut_partial(out).size(), NAN);
      cuda::shortcut_factor_gradients(s, constant(dy, out), constant(x, in), view(got, {1, 1, 2, c}), 1,
                                      view(partial, shortcut_partial(out)));
      EXPECT_EQ(got, want);
    });
  }
}

// One weight for each layer: its gradient is the sum over the channels.
TEST(ShortcutKernel, SumsTheGradientOfOneWeightOverChannels) {
  Stream s;
  constexpr int kLayers = 3, kChannels = 300;
  const Values weights(kLayers, 1.0f), before = coarse_values(kLayers, 1);
  const Values gradients = coarse_values(kLayers * kChannels, 2);
  Values want = before;
  for (int layer = 0; layer < kLayers; ++layer)
    for (int c = 0; c < kChannels; ++c) want[layer] += gradients[layer * kChannels + c];
  in_all_orders([&] {
    Values got = before, factor_gradients = gradients;
    cuda::shortcut_weight_gradients(s, constant(weights, {1, 1, kLayers, 1}),
                                    view(factor_gradients, {1, 1, kLayers, kChannels}),
                                    view(got, {1, 1, kLayers, 1}), WeightNormalisation::none);
    EXPECT_EQ(got, want);
  });
}

// Of equal weights the first moves the maximum that is subtracted, and no other: with m the mean of the
// gradients, weighted by the factors f, that is f (g - m), less m epsilon / sum for the first.
TEST(ShortcutKernel, OfEqualWeightsTheFirstMovesTheMaximum) {
  Stream s;
  const Values weights = {1, 1, 1}, gradients = {3, -1, 4}, before = {.5f, .25f, -1};
  const double sum = 3 + double(kWeightEpsilon), mean = (3 - 1 + 4) / sum;
  in_all_orders([&] {
    Values got = before, factor_gradients = gradients;
    cuda::shortcut_weight_gradients(s, constant(weights, {1, 1, 3, 1}), view(factor_gradients, {1, 1, 3, 1}),
                                    view(got, {1, 1, 3, 1}), WeightNormalisation::softmax);
    for (int k = 0; k < 3; ++k) {
      const double moved = k == 0 ? mean * double(kWeightEpsilon) / sum : 0;
      // A few roundings of values up to 2; what moves is 7e-5.
      EXPECT_NEAR(got[k], before[k] + (gradients[k] - mean) / sum - moved, 2e-6) << "weight " << k;
    }
  });
}

}  // namespace
}  // namespace osprey::test
