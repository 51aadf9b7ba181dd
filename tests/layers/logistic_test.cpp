#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(logistic, counts_the_cross_entropy) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[logistic]", {{2, 1, 1, 2}}, device);
    const Values x = {0, 2, -3, 100};
    layer.targets = {1, 0, 0.25f, 0};  // of the last one the logarithm of 1 - y, rounded, would not be finite
    Values want;
    for (float v : x) want.push_back(float(1 / (1 + std::exp(-double(v)))));
    expect_equal(layer.forward(x), want, {1e-6f});
    double loss = 100;
    for (size_t i = 0; i < 3; ++i)
      loss -= layer.targets[i] * std::log(want[i]) + (1 - layer.targets[i]) * std::log(1 - double(want[i]));
    EXPECT_NEAR(layer.report.loss, loss, 1e-5);
    EXPECT_EQ(layer.report.class_loss, layer.report.loss);
    // From above comes 8 times the slope of the logistic; dx held 1.
    Values dx;
    for (size_t i = 0; i < 4; ++i) dx.push_back(1 + want[i] - layer.targets[i] + 8 * want[i] * (1 - want[i]));
    expect_equal(layer.backward(Values(4, 8), {Values(4, 1)})[0], dx, {1e-6f, 1e-6f});
  }
}

TEST(logistic, kernels_agree) {
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 2, 7}, {1, 5, 5, 64}})
    expect_parity("[logistic]", {shape}, {2e-6f, 2e-6f});
}

TEST(logistic, needs_no_targets_in_detection) {
  SingleLayer layer("[logistic]", {{1, 1, 1, 1}}, Device::cpu, false);
  expect_equal(layer.forward(Values{0}), {0.5f});
}

}  // namespace
}  // namespace osprey
