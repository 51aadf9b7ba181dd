#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(GroupNorm, NormalisesEachGroupOfEachImage) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[group_norm]\ngroups=2\nactivation=linear", {{2, 1, 2, 4}}, device);
    layer.parameter("scales") = {1, 1, 2, 3};
    layer.parameter("biases") = {0, 10, 0, 0};
    // Values 1 and 3 about 2, then 0 and 4 about 2, by a deviation of 1 and 2; the second image is ten times
    // the first.
    const Values image = {1, 3, 0, 4, 3, 1, 4, 0}, want = {-1, 11, -2, 3, 1, 9, 2, -3};
    Values x = image, y = want;
    for (float v : image) x.push_back(10 * v);
    y.insert(y.end(), want.begin(), want.end());
    expect_equal(layer.forward(x), y, {2e-5f, 2e-5f});  // epsilon is 1e-5 of the variance
  }
}

TEST(GroupNorm, StartsAsTheNormalAndHasItsParameters) {
  SingleLayer layer("[group_norm]\ngroups=3", {{1, 2, 2, 6}});
  expect_equal(layer.parameter("scales"), Values(6, 1));
  expect_equal(layer.parameter("biases"), Values(6, 0));
  EXPECT_EQ(layer.parameters().size(), 2u);
}

// The statistics are never constants, the parameters are: dx is the same, and nothing is learned.
TEST(GroupNorm, FrozenTrainsNothing) {
  const Shape in{2, 3, 2, 6};
  const Values x = random_values(in, 3), dy = random_values(in, 4);
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer trained("[group_norm]\ngroups=3\nactivation=relu", {in}, device),
        frozen("[group_norm]\ngroups=3\nfrozen=1\nactivation=relu", {in}, device);
    for (SingleLayer* layer : {&trained, &frozen}) layer->parameter("scales") = {1, 2, 3, -1, -2, 0.5f};
    expect_equal(frozen.forward(x), trained.forward(x));
    expect_equal(frozen.gradient(dy), trained.gradient(dy));
    EXPECT_TRUE(frozen.gradients().empty());
    EXPECT_EQ(frozen.parameter("scales"), (Values{1, 2, 3, -1, -2, 0.5f}));
  }
}

TEST(GroupNorm, InferenceIsTraining) {
  const Shape in{3, 2, 3, 8};
  const Values x = random_values(in, 5);
  SingleLayer training("[group_norm]\ngroups=4\nactivation=mish", {in});
  const Values want = training.forward(x);
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer inference("[group_norm]\ngroups=4\nactivation=mish", {in}, device, false);
    expect_equal(inference.forward(x), want, {1e-5f, 1e-6f});
  }
}

// A mean a thousand times the deviation: values are exact in float, and so is what is left of them.
TEST(GroupNorm, LosesNothingToALargeMean) {
  const Shape in{1, 5, 7, 4};
  Values x = random_values(in, 6), shifted = x;
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::round(x[i] * 64) / 64;
    shifted[i] = x[i] + 1024;
  }
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[group_norm]\ngroups=2", {in}, device);
    const Values want = layer.forward(x);
    // The mean is rounded to 2^-14 of values that deviate by about 0.6.
    expect_equal(layer.forward(shifted), want, {2e-4f, 2e-4f});
  }
}

// Of one value to a group nothing is left, and nothing is to be learned about it but the bias.
TEST(GroupNorm, OfOneValueIsItsBias) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[group_norm]\ngroups=3", {{2, 1, 1, 3}}, device);
    layer.parameter("biases") = {1, 2, 3};
    expect_equal(layer.forward({5, -6, 7, 0, 1, 100}), {1, 2, 3, 1, 2, 3});
    // The gradient minus its own mean, rounded once, times 1 / sqrt(epsilon).
    expect_equal(layer.gradient({1, 2, 3, 4, 5, 6}), Values(6, 0), {0, 316 * 6 * 0x1p-24f});
    expect_equal(layer.parameter_gradient("biases"), {5, 7, 9});
    expect_equal(layer.parameter_gradient("scales"), {0, 0, 0});
  }
}

TEST(GroupNorm, GradientsAreTheSlopes) {
  expect_gradient_on_both("[group_norm]\ngroups=2", {2, 3, 4, 6});
  expect_gradient_on_both("[group_norm]\ngroups=1\nactivation=swish", {2, 3, 3, 4});
  expect_gradient_on_both("[group_norm]\ngroups=5\neps=0.1\nactivation=mish", {1, 4, 4, 5});
  expect_gradient_on_both("[group_norm]\ngroups=2\nfrozen=1\nactivation=tanh", {1, 3, 4, 8});
}

// Statistics from sums in another order. Where a group has a few equal values, 1 / sqrt(epsilon) = 316
// multiplies the rounding of the gradients' mean.
TEST(GroupNorm, KernelsAgree) {
  for (const std::string keys :
       {"groups=1\nactivation=leaky", "groups=1\nfrozen=1", "groups=1\nactivation=swish"})
    for (Shape shape : kAwkwardShapes) expect_parity("[group_norm]\n" + keys, {shape}, {1e-5f, 2e-4f});
  for (const std::string keys : {"groups=2\nactivation=relu", "groups=6\nactivation=mish", "groups=12"})
    expect_parity("[group_norm]\n" + keys, {{3, 5, 4, 12}}, {1e-5f, 1e-4f});
  for (const char* keys : {"groups=255", "groups=51", "groups=3"})
    expect_parity("[group_norm]\n" + std::string(keys), {{1, 3, 2, 255}}, {1e-5f, 2e-4f});
  expect_parity("[group_norm]\ngroups=32\nactivation=relu", {{2, 40, 30, 64}}, {1e-5f, 1e-3f});  // two chunks
  expect_parity("[group_norm]\ngroups=2", {{1, 1, 3, 1040}}, {1e-5f, 1e-4f});  // three blocks on the CPU
}

// Values and sums are worked out in float, and a gradient is rounded once.
TEST(GroupNorm, KernelsAgreeInBf16) {
  for (const std::string keys : {"groups=1\nactivation=linear", "groups=1\nactivation=relu"})
    for (Shape shape : kAwkwardShapes)
      if (shape.elements() > 2) expect_parity_in_bf16("[group_norm]\n" + keys, {shape}, {0x1p-7f, 1e-3f});
  expect_parity_in_bf16("[group_norm]\ngroups=4\nactivation=swish", {{2, 5, 6, 8}}, {0x1p-7f, 1e-2f});
}

TEST(GroupNorm, OverwritesWhereItIsAskedTo) {
  for (Device device : {Device::cpu, Device::cuda}) {
    const Shape in{2, 3, 4, 6};
    SingleLayer layer("[group_norm]\ngroups=3\nactivation=relu", {in}, device);
    ASSERT_TRUE(layer.obeys_writes());
    layer.forward(random_values(in, 2));
    const Values dy = random_values(in, 3), added = layer.gradient(dy);
    expect_equal(layer.backward_overwriting(dy)[0], added);
  }
}

TEST(GroupNorm, ExplainsWhatIsWrong) {
  expect_error("[group_norm]", "test.cfg:1: [group_norm] groups=32 must divide the 4 input channels");
  expect_error("[group_norm]\ngroups=3",
               "test.cfg:2: [group_norm] groups=3 must divide the 4 input channels");
  expect_error("[group_norm]\ngroups=0", "groups must be at least 1, not 0");
  expect_error("[group_norm]\ngroups=2\neps=0", "eps must be more than 0, not 0");
}

}  // namespace
}  // namespace osprey
