#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(connected, multiplies_by_a_matrix) {
  SingleLayer layer("[connected]\noutput=2\nactivation=linear", {{1, 1, 2, 2}});
  EXPECT_EQ(layer.output(), (Shape{1, 1, 1, 2}));
  layer.parameter("weights") = {1, 2, 3, 4, 0, 0, 0, 1};
  layer.parameter("biases") = {100, 200};
  expect_equal(layer.forward({1, 10, 2, 20}), {207, 220});
  expect_equal(layer.backward({1, 2}, {{1, 1, 1, 1}})[0], {2, 3, 4, 7});
  expect_equal(layer.parameter_gradient("weights"), {1, 10, 2, 20, 2, 20, 4, 40});
  expect_equal(layer.parameter_gradient("biases"), {1, 2});
}

TEST(connected, ends_in_a_logistic_unless_told_otherwise) {
  SingleLayer layer("[conn]", {{1, 1, 1, 1}});
  layer.parameter("weights") = {0};
  expect_equal(layer.forward(Values{5}), {0.5f});
}

TEST(connected, starts_within_darknets_bounds) {
  SingleLayer layer("[connected]\noutput=1000", {{1, 2, 2, 2}});
  float largest = 0;
  for (float w : layer.parameter("weights")) largest = std::max(largest, std::fabs(w));
  EXPECT_LE(largest, 0.5f);  // sqrt(2 / 8)
  EXPECT_GT(largest, 0.49f);
}

TEST(connected, normalises_with_rolling_statistics_in_inference) {
  SingleLayer layer("[connected]\noutput=1\nbatch_normalize=1\nactivation=leaky", {{1, 1, 1, 1}}, Device::cpu,
                    false);
  layer.parameter("weights") = {2};
  layer.parameter("rolling_mean") = {10};
  layer.parameter("rolling_variance") = {4};
  layer.parameter("scales") = {3};
  layer.parameter("biases") = {1};
  expect_equal(layer.forward(Values{3}), {-0.5f}, {1e-5f});  // 0.1 (3 (6 - 10) / 2 + 1)
}

TEST(connected, frozen_batch_norm_is_constant) {
  const std::string cfg = "[connected]\noutput=1\nbatch_normalize=1\nfrozen=1\nactivation=linear";
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg, {{2, 1, 1, 1}}, device);
    layer.parameter("weights") = {2};
    layer.parameter("rolling_mean") = {10};
    layer.parameter("rolling_variance") = {4};
    layer.parameter("scales") = {3};
    layer.parameter("biases") = {1};
    expect_equal(layer.forward({3, 7}), {-5, 7}, {1e-5f});  // 3 (2 x - 10) / 2 + 1
    expect_equal(layer.gradient({1, 2}), {3, 6}, {1e-5f});
    expect_equal(layer.parameter_gradient("weights"), {1.5f * (3 + 2 * 7)}, {1e-5f});
    EXPECT_EQ(layer.gradients().size(), 1u);
    EXPECT_EQ(layer.parameter("rolling_mean")[0], 10);
  }
}

TEST(connected, starts_as_it_is_told) {
  SingleLayer layer("[connected]\noutput=100\nweights_deviation=0.001\nbias_init=3", {{1, 10, 2, 5}});
  double sum = 0;
  for (float w : layer.parameter("weights")) sum += double(w) * w;
  EXPECT_NEAR(std::sqrt(sum / 10000), 0.001, 3e-5);  // 3 deviations of the estimate
  EXPECT_EQ(layer.parameter("biases")[99], 3);
}

TEST(connected, gradient_is_the_slope) {
  for (const char* keys : {"activation=linear", "", "activation=mish", "activation=swish\nbatch_normalize=1",
                           "activation=swish\nbatch_normalize=1\nfrozen=1"})
    expect_gradient_on_both(std::string("[connected]\noutput=3\n") + keys, {4, 2, 1, 3});
}

const char* const kForms[] = {"output=1\nactivation=linear",
                              "output=33",
                              "output=8\nactivation=leaky",
                              "output=5\nactivation=mish",
                              "output=6\nbatch_normalize=1\nactivation=swish",
                              "output=7\nbatch_normalize=1\nfrozen=1\nactivation=leaky"};

// Sums of up to 255 terms in another order; batch norm divides by the spread of two values.
TEST(connected, kernels_agree) {
  for (const std::string keys : kForms)
    for (const Shape& shape : kAwkwardShapes) {
      const Shape two{2, shape.h, shape.w, shape.c};
      expect_parity("[connected]\n" + keys, {two}, {1e-4f, 1e-4f});
    }
}

TEST(connected, kernels_agree_in_inference) {
  for (const std::string keys : kForms) {
    SCOPED_TRACE(keys);
    const Shape in{3, 2, 2, 7};
    const auto run = [&](Device device) {
      SingleLayer layer("[connected]\n" + keys, {in}, device, false);
      for (auto& [name, values] : layer.parameters())
        for (float& value : values) value = std::fabs(value) + 0.5f;
      return layer.forward(random_values(in));
    };
    expect_equal(run(Device::cuda), run(Device::cpu), {1e-5f, 1e-5f});
  }
}

// Products of such values are exact in float, so a linear layer rounds once. The gradient through an
// activation is rounded before it is multiplied: 33 terms of size 1 with errors of 2^-9, a few of them the
// same way.
TEST(connected, kernels_agree_in_bf16) {
  for (const Shape& shape : kAwkwardShapes) {
    expect_parity_in_bf16("[connected]\noutput=33\nactivation=linear", {shape}, {0x1p-8f, 1e-4f});
    expect_parity_in_bf16("[connected]\noutput=33\nactivation=leaky", {shape}, {0x1p-7f, 0x1p-5f});
  }
}

TEST(connected, explains_what_is_wrong) {
  expect_error("[connected]\noutput=0", "test.cfg:2: [connected] output must be at least 1, not 0");
  expect_error("[connected]\nfrozen=1",
               "test.cfg:2: [connected] frozen=1 is about batch norm: it needs batch_normalize=1");
}

}  // namespace
}  // namespace osprey
