#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

const float kThird = 1.0f / 3;

TEST(softmax, makes_values_sum_to_one) {
  SingleLayer layer("[softmax]", {{2, 1, 1, 2}}, Device::cpu, false);
  expect_equal(layer.forward({0, std::log(2.0f), 1000, 1000 + std::log(3.0f)}),
               {kThird, 2 * kThird, 0.25f, 0.75f}, {1e-4f});  // log(3) beside 1000 has 2^-14 left
}

TEST(softmax, has_a_temperature) {
  SingleLayer layer("[soft]\ntemperature=2", {{1, 1, 1, 2}}, Device::cpu, false);
  expect_equal(layer.forward({0, 2 * std::log(2.0f)}), {kThird, 2 * kThird}, {1e-6f});
}

// A group is a part of the channels, over the whole image; with spatial=1, the channels of one pixel.
TEST(softmax, has_groups) {
  SingleLayer parts("[softmax]\ngroups=2", {{1, 1, 1, 4}}, Device::cpu, false);
  expect_equal(parts.forward({1, 1, 2, 2}), {0.5f, 0.5f, 0.5f, 0.5f});
  SingleLayer image("[softmax]\ngroups=2", {{1, 1, 2, 4}}, Device::cpu, false);
  expect_equal(image.forward(Values(8, 3)), Values(8, 0.25f));
  SingleLayer pixel("[softmax]\nspatial=1", {{1, 1, 2, 4}}, Device::cpu, false);
  expect_equal(pixel.forward({1, 1, 1, 1, 5, 5, 5, 5}), Values(8, 0.25f));
}

// Darknet: -ln p where the target is not 0, and the gradient p - target, to which dy is added as it is.
TEST(softmax, is_a_loss) {
  SingleLayer layer("[softmax]", {{2, 1, 1, 2}});
  layer.targets = {0, 1, 0.5f, 0};
  layer.forward({0, std::log(2.0f), 0, 0});
  EXPECT_TRUE(layer.layer().has_loss());
  EXPECT_NEAR(layer.report.loss, std::log(1.5) + std::log(2.0), 1e-6);
  expect_equal(layer.backward({0, 0, 0, 4}, {{0, 0, 10, 0}})[0], {kThird, -kThird, 10, 4.5f}, {1e-6f, 1e-7f});
}

// Sums of up to 255 positive values, and of their logarithms, in another order.
TEST(softmax, kernels_agree) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[softmax]", {shape}, {2e-6f, 1e-6f});
    expect_parity("[softmax]\nnoloss=1\nspatial=1", {shape}, {2e-6f, 1e-6f});
    // The gradient is worked out from the rounded output.
    expect_parity_in_bf16("[softmax]\nnoloss=1", {shape}, {0x1p-7f, 0x1p-8f});
  }
  expect_parity("[softmax]\nnoloss=1\ngroups=3\ntemperature=2", {{9, 2, 1, 99}}, {2e-6f, 1e-6f});
}

TEST(softmax, gradient_without_loss_is_the_slope) {
  expect_gradient_on_both("[softmax]\nnoloss=1", {3, 1, 1, 7});
  expect_gradient_on_both("[softmax]\nnoloss=1\ngroups=2\ntemperature=0.5", {2, 2, 1, 6});
  expect_gradient_on_both("[softmax]\nnoloss=1\nspatial=1", {2, 2, 3, 4});
}

TEST(softmax, explains_what_is_wrong) {
  expect_error("[softmax]\ngroups=3",
               "test.cfg:2: [softmax] the 4 channels of the input cannot be cut into 3");
  expect_error("[softmax]\ntree=x.tree",
               "test.cfg:2: [softmax] a softmax over a tree of classes is not supported yet");
  expect_error("[softmax]\ntemperature=0", "test.cfg:2: [softmax] temperature must be more than 0, not 0");
}

}  // namespace
}  // namespace osprey
