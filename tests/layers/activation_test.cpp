#include "layers/output_activation.h"

#include <cmath>
#include <numeric>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

const int kActivations = int(std::size(kActivationNames));

std::string cfg_of(int kind) { return std::string("[activation]\nactivation=") + kActivationNames[kind]; }

TEST(activation, applies_the_function_to_each_value) {
  SingleLayer layer("[activation]\nactivation=leaky", {{1, 1, 2, 2}});
  expect_equal(layer.forward({-1, 0, 2, -30}), {-0.1f, 0, 2, -3});
  expect_equal(layer.backward({1, 1, 1, 1}, {{1, 2, 3, 4}})[0], {1.1f, 2.1f, 4, 4.1f});
  SingleLayer nothing("[activation]", {{1, 1, 1, 2}});  // Darknet's default is linear
  expect_equal(nothing.forward({-1, 3}), {-1, 3});
}

// Darknet reads the slope of every function from its output; here that is done only where it is exact.
TEST(activation, slope_from_output_is_exact_where_it_is_used) {
  for (int kind = 0; kind < kActivations; ++kind) {
    const auto a = Activation(kind);
    if (!slope_from_output(a)) continue;
    for (float x : {-9.0f, -1.5f, -1.0f, -0.5f, -1e-30f, 0.0f, 1e-30f, 0.5f, 1.0f, 1.5f, 5.9f, 6.0f, 9.0f})
      EXPECT_EQ(slope(a, activate(a, x)), slope(a, x)) << kActivationNames[kind] << " at " << x;
  }
}

TEST(activation, overwrites_dy_where_dx_is_dy) {
  Values x = {-2, 3}, dy = {5, 7};
  Stream s;
  const Shape shape{1, 1, 1, 2};
  cpu::activation_backward(s, {x.data(), shape}, {dy.data(), shape}, {dy.data(), shape}, Activation::leaky);
  expect_equal(dy, {0.5f, 7});
}

// Both sides compile the same formulas; they may round differently where one is vectorised: 4 units in the
// last place of values up to 2, and of sums of them.
TEST(activation, kernels_agree) {
  for (int kind = 0; kind < kActivations; ++kind)
    for (Shape shape : {Shape{2, 3, 5, 7}, {1, 3, 5, 8}}) {
      expect_parity(cfg_of(kind), {shape}, {5e-7f, 5e-7f});
      expect_parity_in_bf16(cfg_of(kind), {shape});
    }
}

TEST(activation, kernels_agree_at_awkward_shapes) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[activation]\nactivation=leaky", {shape});
    expect_parity_in_bf16("[activation]\nactivation=leaky", {shape});
  }
}

// Values are multiples of 0.1 plus 0.03, within -4.8 .. 4.8, so that steps of 0.01 reach no kink.
TEST(activation, gradient_is_the_slope) {
  Values x = well_separated({1, 1, 16, 6});
  for (float& v : x) v += 0.03f;
  for (int kind = 0; kind < kActivations; ++kind) {
    if (Activation(kind) == Activation::stair) continue;  // jumps
    expect_gradient_on_both(cfg_of(kind), {{1, 1, 16, 6}}, {x});
  }
}

// By DARKNET.md's formulas; the derivative by the tests of slopes below.
TEST(activation, may_look_at_all_channels) {
  const Values x = {1, -2, 3, 0.5f, 0.5f, -1};
  for (Device device : {Device::cpu, Device::cuda}) {
    const auto y = [&](const char* kind) {
      SingleLayer layer(std::string("[activation]\nactivation=") + kind, {{1, 1, 2, 3}}, device);
      return layer.forward(x);
    };
    expect_equal(y("normalize_channels"), {1 / 4.0001f, 0, 3 / 4.0001f, 0.5f / 1.0001f, 0.5f / 1.0001f, 0},
                 {1e-6f});
    for (const bool maxval : {false, true}) {
      Values want;
      for (int i = 0; i < 6; ++i) {
        const float* pixel = &x[i / 3 * 3];
        const double largest = maxval ? std::max({pixel[0], pixel[1], pixel[2]}) : 0;
        double sum = 1e-4;
        for (int c = 0; c < 3; ++c) sum += std::exp(pixel[c] - largest);
        want.push_back(float(std::exp(x[size_t(i)] - largest) / sum));
      }
      expect_equal(y(maxval ? "normalize_channels_softmax_maxval" : "normalize_channels_softmax"), want,
                   {2e-6f});
    }
  }
}

TEST(activation, of_all_channels_agrees_and_has_the_right_slope) {
  for (const char* kind :
       {"normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval"}) {
    const std::string cfg = std::string("[activation]\nactivation=") + kind;
    for (Shape shape : kAwkwardShapes) {
      expect_parity(cfg, {shape}, {5e-6f, 5e-6f});
      expect_parity_in_bf16(cfg, {shape}, {0x1p-7f, 0x1p-7f});
    }
    Values x = well_separated({1, 1, 3, 6});  // no step reaches a kink, nor another maximum
    for (float& v : x) v += 0.03f;
    expect_gradient_on_both(cfg, {{1, 1, 3, 6}}, {x});
    // Behind a convolution, whose values may be near the kink of max(x, 0), only the smooth ones.
    if (std::string(kind) != "normalize_channels")
      expect_gradient_on_both("[convolutional]\nfilters=6\nactivation=" + std::string(kind), {{1, 1, 3, 6}},
                              {x});
  }
}

// Where kernels apply an activation together with something else, this one comes after it.
TEST(activation, of_all_channels_in_detection) {
  const Values x = {1, -2, 3, 0.5f, 0.5f, -1};
  for (const char* section : {"[connected]\noutput=5\n", "[convolutional]\nfilters=5\n"}) {
    const std::string cfg = section + std::string("activation=normalize_channels_softmax_maxval");
    SingleLayer training(cfg, {{1, 1, 1, 6}});
    const Values want = training.forward(x);
    for (Device device : {Device::cpu, Device::cuda}) {
      SingleLayer layer(cfg, {{1, 1, 1, 6}}, device, false);
      expect_equal(layer.forward(x), want, {1e-5f});
      EXPECT_NEAR(std::accumulate(want.begin(), want.end(), 0.0), 1, 2e-4);  // 0.0001 is added to the sum
    }
  }
}

TEST(activation, explains_what_is_wrong) {
  expect_error("[activation]\nactivation=mich",
               "test.cfg:2: [activation] activation must be one of linear, logistic");
  expect_error("[activation]\nactivation=mich", "not `mich`, did you mean `mish`?");
}

}  // namespace
}  // namespace osprey
